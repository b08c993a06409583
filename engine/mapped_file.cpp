#include "engine/mapped_file.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/files.h"
#include "kernels/core/check.h"

namespace engine {

MappedFile::MappedFile(const std::string& path) {
  const InputFile file(path);
  if (file.size() == 0) return;
  void* memory = ::mmap(nullptr, file.size(), PROT_READ, MAP_SHARED, file.descriptor(), 0);
  if (memory == MAP_FAILED)
    throw kernels::Error(std::string("cannot be mapped into memory: ") + std::strerror(errno), path,
                         "ulimit -v and sysctl vm.max_map_count bound what a process may map");
  bytes_ = {static_cast<const std::byte*>(memory), file.size()};
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

void MappedFile::read_ahead(bool wanted) const {
  if (!bytes_.empty())
    ::madvise(const_cast<std::byte*>(bytes_.data()), bytes_.size(), wanted ? MADV_NORMAL : MADV_RANDOM);
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace engine
