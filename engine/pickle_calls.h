// What a pickle may call, for engine/pickle.cpp alone.
#pragma once

#include <string>
#include <string_view>

#include "engine/pickle.h"

namespace engine {

/// The value of a name that GLOBAL or STACK_GLOBAL brings: a function, or an opaque constant. Throws for all names but
/// those known.
PickleValue global_value(std::string_view module, std::string_view name, const std::string& where);

/// What a known function makes of a tuple of arguments (REDUCE and NEWOBJ): a new value, or one of the arguments.
PickleRef call_function(Pickle& pickle, const PickleValue& function, const PickleValue& arguments,
                        const std::string& where);

/// What BINPERSID makes of its operand: a storage.
PickleRef make_storage(Pickle& pickle, const PickleValue& identity, const std::string& where);

/// Appends a value, and says where.
PickleRef add_value(Pickle& pickle, PickleValue value);

}  // namespace engine
