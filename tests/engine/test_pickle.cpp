#include "engine/pickle.h"

#include <filesystem>

#include "kernels/core/check.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"
#include "tests/support/torch_pickle.h"

using namespace engine;
using Kind = PickleValue::Kind;

namespace {

Pickle parse(const std::string& opcodes) { return parse_pickle(test::pickle(opcodes), "file"); }

void refuses_opcodes(const std::string& opcodes, const std::string& words) {
  INFO(words);
  CHECK_THROWS_WITH(parse(opcodes), ContainsSubstring("file: ") && ContainsSubstring(words));
}

const PickleValue& root(const Pickle& pickle) { return pickle.at(pickle.root); }

/// A known function called with these arguments.
std::string called(const std::string& module, const std::string& name, const std::string& arguments) {
  return test::global(module, name) + test::tuple(arguments) + "R";
}

}  // namespace

TEST_CASE("constants of every opcode are read") {
  const auto value = [](const std::string& opcodes) { return root(parse(opcodes)); };
  CHECK(value("N").kind == Kind::none);
  CHECK((value("\x88").kind == Kind::boolean && value("\x88").integer == 1 && value("\x89").integer == 0));
  CHECK((value("J\xfe\xff\xff\xff").kind == Kind::integer && value("J\xfe\xff\xff\xff").integer == -2));
  CHECK((value("K\xff").integer == 255 && value("M\xff\xff").integer == 65535));
  CHECK(value(std::string("\x8a\x00", 2)).integer == 0);
  CHECK((value("\x8a\x01\xff").integer == -1 && value(std::string("\x8a\x02\xff\x00", 4)).integer == 255));
  for (const std::int64_t v : {std::int64_t{0}, std::int64_t{-5}, INT64_MAX, INT64_MIN})
    CHECK(value(test::whole(v)).integer == v);
  CHECK(value(std::string("G\xbf\xe0\0\0\0\0\0\0", 9)).number == -0.5);
  CHECK(value("X" + test::little(3, 4) + "a\xc3\xa9").text == "a\xc3\xa9");
  CHECK(value("\x8c\x01z").text == "z");
  CHECK(value("\x8d" + test::little(2, 8) + "zz").text == "zz");
  CHECK((value("C\x02\xff\xfe").text == "\xff\xfe" && value("C\x02\xff\xfe").kind == Kind::bytes));
  CHECK((value("B" + test::little(1, 4) + "\xff").text == "\xff" && value("\x8e" + test::little(0, 8)).text.empty()));
}

TEST_CASE("containers, the memo and marks work as Python's") {
  const Pickle list = parse(
      "](K\x01K\x02"
      "e"
      "N"
      "a");
  CHECK(root(list).kind == Kind::list);
  REQUIRE(root(list).items.size() == 3);
  CHECK((list.at(root(list).items[1]).integer == 2 && list.at(root(list).items[2]).kind == Kind::none));
  CHECK(root(parse(")")).items.empty());
  CHECK((root(parse("N\x85")).items.size() == 1 && root(parse("NN\x86")).items.size() == 2));
  CHECK((root(parse("NNN\x87")).items.size() == 3 && root(parse("(NNNNt")).items.size() == 4));
  CHECK(root(parse("}" + test::text("a") + "Ns(" + test::text("b") + "Nu")).items.size() == 4);
  CHECK((root(parse("N0K\x07")).integer == 7 && root(parse("K\x07(NN1")).integer == 7));
  // one list, twice in a tuple
  const Pickle shared = parse("]q\x05h\x05\x86");
  CHECK(root(shared).items[0] == root(shared).items[1]);
  CHECK(root(parse("K\x09\x94"
                   "0j" +
                   test::little(0, 4)))
            .integer == 9);
  CHECK(root(parse("K\x09r" + test::little(4'000'000'000, 4) + "0j" + test::little(4'000'000'000, 4))).integer == 9);
  // attributes of an OrderedDict are passed over
  CHECK(root(parse(called("collections", "OrderedDict", "") + "}" + test::text("_metadata") + "Nsb")).items.empty());
}

TEST_CASE("a container that holds itself is no leak") {
  const Pickle list = parse(
      "]q\x01h\x01"
      "a");
  CHECK(root(list).items[0] == list.root);
  const Pickle dict = parse("}q\x01(" + test::text("a") + "h\x01u");
  CHECK(dict.at(root(dict).items[1]).kind == Kind::dict);
  // nor does depth cost stack
  CHECK(root(parse("N" + std::string(900'000, '\x85'))).kind == Kind::tuple);
}

TEST_CASE("what torch.save writes beside tensors is known") {
  CHECK(root(parse(called("torch", "Size", test::sizes({2, 3})))).items.size() == 2);
  CHECK(root(parse(called("torch", "device", test::text("cuda") + "K\x01"))).kind == Kind::opaque);
  CHECK(root(parse(test::global("torch", "bfloat16"))).kind == Kind::opaque);
  CHECK(root(parse(test::global("argparse", "Namespace") + ")\x81}" + test::text("lr") + "Nsb")).kind == Kind::opaque);
  const Pickle named = parse("\x8c\x05torch\x8c\x04Size\x93" + test::tuple(test::sizes({4})) + "R");
  CHECK(root(named).items.size() == 1);

  const Pickle parameter = parse(called("torch._utils", "_rebuild_parameter", test::tensor() + "\x88}"));
  CHECK(root(parameter).kind == Kind::tensor);
  const PickledTensor& t = parameter.tensor(root(parameter));
  CHECK((t.shape == std::vector<std::int64_t>{2} && t.stride == std::vector<std::int64_t>{1} && t.offset == 0));
  const PickledStorage& s = parameter.storages.at(t.storage);
  CHECK((s.key == "0" && s.type == StoredType::f32 && s.count == 8));
}

TEST_CASE("a pickle that would run something is refused by its name, and runs nothing") {
  const TestFolder folder;
  const std::string made = folder.file("made"), command = test::text("touch " + made);
  for (const char* module : {"os", "posix", "nt"}) {
    const std::string call = test::global(module, "system") + command + "\x85R";
    refuses_opcodes(call, std::string("would run ") + module + ".system; only tensors and plain containers are read");
    refuses_opcodes("\x8c\x02os\x8c\x06system\x93" + command + "\x85R", "would run os.system");
  }
  refuses_opcodes(test::global("builtins", "eval") + command + "\x85R", "would run builtins.eval");
  refuses_opcodes(test::global("torch", "load"), "would run torch.load");
  refuses_opcodes(test::global("collections", "OrderedDict.fromkeys"), "would run collections.OrderedDict.fromkeys");
  refuses_opcodes(test::global("numpy.core.multiarray", "_reconstruct"),
                  "would run numpy.core.multiarray._reconstruct");
  refuses_opcodes(test::global(std::string(500, 'x'), "\x1b[2J"), "would run " + std::string(80, 'x') + ".?[2J;");
  CHECK_FALSE(std::filesystem::exists(made));
}

TEST_CASE("an operand of another type is refused") {
  refuses_opcodes(
      "NK\x01"
      "a",
      "finds None where a list belongs");
  refuses_opcodes(
      "}(K\x01"
      "e",
      "finds a dict where a list belongs");
  refuses_opcodes("]NNs", "finds a list where a dict belongs");
  refuses_opcodes(test::text("a") + "(NNu", "finds a text where a dict belongs");
  refuses_opcodes(test::tensor() + "NNs", "finds a tensor where a dict belongs");
  refuses_opcodes("}(NNNu", "sets a key without a value");
  refuses_opcodes("}Nb", "finds None where a dict belongs");
  refuses_opcodes("]}b", "finds a list where a dict belongs");
  refuses_opcodes(test::tensor() + "}b", "finds a tensor where a dict belongs");
  refuses_opcodes("N" + test::text("Size") + "\x93", "finds None where a text belongs");
  refuses_opcodes(test::text("torch") + "N\x93", "finds None where a text belongs");
  refuses_opcodes("N)R", "None is no function");
  refuses_opcodes(test::global("torch", "FloatStorage") + ")R", "a storage type is no function");
  refuses_opcodes(test::global("torch", "Size") + "]R", "Size is called with a list for arguments");
}

TEST_CASE("a call with the wrong arguments is refused") {
  const auto refuses_call = [](const char* module, const char* name, const std::string& arguments, const char* words) {
    refuses_opcodes(called(module, name, arguments), words);
  };
  refuses_call("collections", "OrderedDict", "]", "OrderedDict has 1 arguments instead of 0 to 0");
  refuses_call("argparse", "Namespace", "N", "Namespace has 1 arguments");
  refuses_call("torch", "device", "", "device has 0 arguments instead of 1 to 2");
  refuses_call("torch", "Size", "]", "Size has a list for argument 1, wanted a tuple");
  refuses_call("torch._utils", "_rebuild_parameter", "N\x88}", "has None for argument 1, wanted a tensor");
  refuses_call("torch._utils", "_rebuild_parameter", test::tensor() + "N}", "has None for argument 2");
  refuses_call("torch._utils", "_rebuild_parameter", test::tensor() + "\x88N", "has None for argument 3");
  refuses_call("torch._utils", "_rebuild_parameter", test::tensor(), "has 1 arguments instead of 3 to 3");

  const std::string good[] = {test::storage({}), "K\x00", test::sizes({2}), test::sizes({1}), "\x88", "}"};
  const auto with = [&](std::size_t place, const std::string& other) {
    std::string all;
    for (std::size_t i = 0; i < std::size(good); ++i)
      all += i == place ? other : i == 1 ? std::string("K\0", 2) : good[i];
    return called("torch._utils", "_rebuild_tensor_v2", all);
  };
  CHECK_NOTHROW(parse(with(6, "")));
  CHECK_NOTHROW(parse(with(5, "}N")));  // torch 2 may add metadata
  refuses_opcodes(with(5, ""), "has 5 arguments instead of 6 to 7");
  refuses_opcodes(with(0, "N"), "has None for argument 1, wanted a storage");
  refuses_opcodes(with(1, "N"), "has None for argument 2, wanted a whole number");
  refuses_opcodes(with(1, test::whole(-1)), "wanted a whole number from 0 on");
  refuses_opcodes(with(2, "]"), "has a list for argument 3, wanted a tuple");
  refuses_opcodes(with(2, test::sizes({-1})), "wanted a whole number from 0 on");
  refuses_opcodes(with(2, "N\x85"), "has None for a size");
  refuses_opcodes(with(2, test::sizes(std::vector<std::int64_t>(9, 1))), "a tensor of 9 dimensions");
  refuses_opcodes(with(3, test::sizes({1, 1})), "has 1 sizes and 2 strides");
  refuses_opcodes(with(3, test::sizes({-1})), "wanted a whole number from 0 on");
  refuses_opcodes(with(4, "K\x01"), "has a whole number for argument 5, wanted a truth value");
  refuses_opcodes(with(5, "N"), "has None for argument 6, wanted a dict");
}

TEST_CASE("a persistent id that is no storage is refused") {
  const std::string type = test::global("torch", "FloatStorage");
  const auto refuses_id = [](const std::string& items, const char* words) {
    refuses_opcodes(test::tuple(items) + "Q", words);
  };
  const std::string end = test::text("cpu") + "K\x01", key = test::text("0"), first = test::text("storage");
  refuses_opcodes("NQ", "called with None for arguments");
  refuses_id(first + type + key + test::text("cpu"), "has 4 arguments");
  refuses_id(test::text("module") + type + key + end, "is of no storage");
  refuses_id(first + "N" + key + end, "has None for argument 2, wanted a function");
  refuses_id(first + test::global("torch", "Size") + key + end, "is of no storage type");
  refuses_id(first + type + "K\x01" + end, "has a whole number for argument 3, wanted a text");
  refuses_id(first + type + test::text(std::string(101, '0')) + end, "has a key of 101 bytes");
  refuses_id(first + type + key + "NK\x01", "has None for argument 4");
  refuses_id(first + type + key + test::text("cpu") + test::whole(-1), "wanted a whole number from 0 on");
}

TEST_CASE("a pickle that is cut, or does not add up, is refused") {
  CHECK_THROWS_WITH(parse_pickle("", "file"), ContainsSubstring("is cut short: wants 1 bytes more"));
  CHECK_THROWS_WITH(parse_pickle("N", "file"), ContainsSubstring("byte 1: is cut short"));
  const std::string whole = test::pickle(test::dict(test::text("w") + test::tensor()));
  CHECK_NOTHROW(parse_pickle(whole, "file"));
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes)
    CHECK_THROWS_AS(parse_pickle(std::string_view(whole).substr(0, bytes), "file"), kernels::Error);
  refuses_opcodes("X" + test::little(4'000'000'000, 4) + "a", "wants 4000000000 bytes more");
  refuses_opcodes("\x8d" + test::little(~std::uint64_t{0}, 8) + "a", "wants 18446744073709551615 bytes more");
  refuses_opcodes("ctorch", "a name does not end");
  refuses_opcodes("", "ends with 0 values");
  refuses_opcodes("NN", "ends with 2 values");
  refuses_opcodes("N(", "ends with 1 values");
  refuses_opcodes("N.N", "has 2 bytes after its end");
  refuses_opcodes("0", "empty stack");
  refuses_opcodes("K\x01\x86", "empty stack");
  refuses_opcodes("]N(a", "empty stack");  // not below the mark
  refuses_opcodes("q\x01", "empty stack");
  refuses_opcodes("t", "wants a mark");
  refuses_opcodes("1", "wants a mark");
  refuses_opcodes("h\x01", "memo entry 1, which is not there");
}

TEST_CASE("what torch.save does not write is refused") {
  refuses_opcodes("\x80\x06", "has protocol 6, at most 5 is read");
  for (const char opcode : std::string("ioPISpgdl2\x82\x8b\x8f\x92\x97\xff\0", 17))
    refuses_opcodes("N" + std::string(1, opcode), "which torch.save does not write");
  refuses_opcodes("\x8a\x09" + std::string(9, '\0'), "a whole number of 9 bytes");
  for (const char* wrong :
       {"\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe0\x80\x80", "a\xc3z", "\xf0\x80\x80\x80"})
    refuses_opcodes(test::text(wrong), "a text that is not UTF-8");
  for (const char* right :
       {"\xc2\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf", "\xf0\x90\x80\x80", "\xe0\xa0\x80"})
    CHECK(root(parse(test::text(right))).text == right);
}

TEST_CASE("the limits of a pickle hold") {
  std::string opcodes = "Nq\x01";
  for (int i = 0; i < 499'998; ++i) opcodes += "0N";  // with PROTO and STOP a million
  CHECK(root(parse(opcodes)).kind == Kind::none);
  CHECK_THROWS_WITH(parse(opcodes + "q\x01"), ContainsSubstring("more than 1000000 opcodes"));
  const std::string much(max_pickle_bytes + 1, 'N');
  CHECK_THROWS_WITH(parse_pickle(much, "file"), ContainsSubstring("at most 67108864 are read"));
}
