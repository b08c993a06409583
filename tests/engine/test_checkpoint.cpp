#include "engine/checkpoint.h"

#include <cstring>

#include "engine/checkpoint_folder.h"
#include "engine/checksum.h"
#include "engine/safetensors.h"
#include "kernels/core/philox.h"
#include "tests/support/catch.h"
#include "tests/support/checkpoint_v1.h"
#include "tests/support/folder.h"

using namespace engine;
using kernels::DType;

namespace {

const std::string moment1 = "optimizer.moment1.", moment2 = "optimizer.moment2.";

void put(const std::string& path, const std::string& bytes) {
  write_atomically(path, [&](FileWriter& file) { file.write(bytes); });
}

/// The parameters that a checkpoint has values for; those with moments are trainable.
void add_all(Parameters& parameters, const SafetensorsFile& file) {
  for (const TensorEntry& entry : file.header().tensors) {
    if (entry.name.starts_with("optimizer.")) continue;
    Shape shape;
    for (const std::int64_t size : entry.shape) shape.dims[static_cast<std::size_t>(shape.rank++)] = size;
    parameters.add(entry.name, shape, file.find(moment1 + entry.name) ? Trainable::yes : Trainable::no);
  }
}

/// Elements of a segment in one of the flat buffers.
std::vector<float> values(Parameters& parameters, const Segment& segment, const View& flat) {
  const View part = parameters.part(flat, parameters.at(segment.name).index, segment.shape);
  return {part.as<float>(), part.as<float>() + segment.shape.count()};
}

std::vector<float> expected(const std::string& name, std::int64_t count) {
  std::vector<float> all;
  for (std::int64_t i = 0; i < count; ++i) all.push_back(test::checkpoint_v1_value(name, static_cast<std::size_t>(i)));
  return all;
}

/// Two small segments with made-up values, saved.
void save_small(const std::string& path) {
  kernels::Stream stream(kernels::devices().front());
  Parameters parameters(DType::f32);
  parameters.add("table", {5}, Trainable::no);
  parameters.add("weight", {3, 2});
  parameters.reserve(stream, Purpose::training);
  for (const View& flat : {parameters.master(), parameters.moment1(), parameters.moment2()})
    for (std::int64_t i = 0; i < flat.shape.count(); ++i)
      flat.as<float>()[i] = static_cast<float>(kernels::philox_word(static_cast<std::uint32_t>(i), {}, {}));
  save_checkpoint(path, stream, parameters, {.step = 17, .metadata = {{"config.dim", "16"}, {"note", "\"a\"\n"}}});
}

}  // namespace

TEST_CASE("a checkpoint of format version 1 is read for ever") {
  const SafetensorsFile file(test::checkpoint_v1);
  CHECK(!checksum_holds(file.file()));  // it is older than the checksum
  const Checkpoint checkpoint = read_checkpoint(test::checkpoint_v1);
  CHECK(checkpoint.step == test::checkpoint_v1_step);
  CHECK(checkpoint.metadata.at("format") == "mae.cu");
  CHECK(checkpoint.metadata.at("config.patch_order") == "row_column_channel");
  CHECK(checkpoint.metadata.at("run.note") == "a text with \"quotes\" and \u00e9");
  CHECK(checkpoint.metadata.size() == 29);

  kernels::Stream stream(kernels::devices().front());
  Parameters parameters(DType::f32);
  add_all(parameters, file);
  parameters.reserve(stream, Purpose::training);
  load_checkpoint(test::checkpoint_v1, stream, parameters, Content::training_state);
  CHECK(parameters.count() == 228 + 260);
  CHECK(2 * parameters.trainable_count() == 928);
  for (const Segment& segment : parameters.segments()) {
    const std::int64_t count = segment.shape.count();
    INFO(segment.name);
    CHECK(values(parameters, segment, parameters.master()) == expected(segment.name, count));
    if (segment.trainable == Trainable::no) continue;
    CHECK(values(parameters, segment, parameters.moment1()) == expected(moment1 + segment.name, count));
    CHECK(values(parameters, segment, parameters.moment2()) == expected(moment2 + segment.name, count));
  }
}

TEST_CASE("a changed byte is noticed wherever it is") {
  const TestFolder folder;
  const std::string path = folder.file("small.safetensors");
  save_small(path);
  const std::string good = read_file(path);
  CHECK(checksum_holds(InputFile(path)) == true);
  const std::size_t key = good.find(checksum_key);  // another name for the key is a file without a checksum, whole
  for (std::size_t i = 0; i < good.size(); ++i) {
    if (i >= key && i < key + std::strlen(checksum_key)) continue;
    for (const int change : {0x01, 0x20, 0x80}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ change);
      put(path, bad);
      INFO("byte " << i << " ^ " << change);
      CHECK_THROWS_WITH(verify_checkpoint(path), ContainsSubstring(path));
    }
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    put(path, good.substr(0, size));
    CHECK_THROWS_AS(verify_checkpoint(path), kernels::Error);
  }
  put(path, good);
  CHECK_NOTHROW(verify_checkpoint(path));
}

TEST_CASE("the checksum is over all of a file of more than one piece") {
  const TestFolder folder;
  const std::string path = folder.file("large.safetensors");
  const std::vector<std::uint8_t> x((std::size_t{3} << 20) + 5, 7);
  write_safetensors(path, {}, {{"x", DType::u8, {std::ssize(x)}, x.data()}}, Checksum::crc32);
  const std::string good = read_file(path);
  CHECK(checksum_holds(InputFile(path)) == true);
  for (const std::size_t at : {std::size_t{1} << 20, (std::size_t{2} << 20) - 1, good.size() - 1}) {
    std::string bad = good;
    bad[at] = 8;
    put(path, bad);
    CHECK(checksum_holds(InputFile(path)) == false);
  }
}

TEST_CASE("changed data are not loaded") {
  const TestFolder folder;
  const std::string path = folder.file("small.safetensors");
  save_small(path);
  std::string bad = read_file(path);
  bad.back() = static_cast<char>(bad.back() ^ 4);
  put(path, bad);
  kernels::Stream stream(kernels::devices().front());
  Parameters parameters(DType::f32);
  add_all(parameters, SafetensorsFile(path));
  parameters.reserve(stream, Purpose::training);
  CHECK_THROWS_WITH(load_checkpoint(path, stream, parameters, Content::training_state),
                    ContainsSubstring(path + ": the file is damaged: the checksum"));
  for (const Segment& segment : parameters.segments())
    CHECK(values(parameters, segment, parameters.master()) ==
          std::vector<float>(static_cast<std::size_t>(segment.shape.count())));
}

TEST_CASE("what a checkpoint was read with can be saved again") {
  const TestFolder folder;
  const std::string path = folder.file("small.safetensors"), again = folder.file("again.safetensors");
  save_small(path);
  kernels::Stream stream(kernels::devices().front());
  Parameters parameters(DType::f32);
  parameters.add("table", {5}, Trainable::no);
  parameters.add("weight", {3, 2});
  parameters.reserve(stream, Purpose::training);
  load_checkpoint(path, stream, parameters, Content::training_state);
  save_checkpoint(again, stream, parameters, read_checkpoint(path));
  CHECK(read_file(again) == read_file(path));
}

TEST_CASE("a newer format is refused by name") {
  const TestFolder folder;
  const std::string path = folder.file(checkpoint_name(3));
  const auto write = [&](const std::string& version) {
    write_safetensors(path, {{"format", "mae.cu"}, {"format_version", version}, {"step", "3"}}, {}, Checksum::crc32);
  };
  write("2");
  CHECK_THROWS_WITH(read_checkpoint(path),
                    ContainsSubstring(path + ": this checkpoint has format version 2, this program reads up to 1"));
  CHECK_THROWS_WITH(newest_whole_checkpoint(folder.path()), ContainsSubstring("format version 2"));
  write("1");
  CHECK(read_checkpoint(path).step == 3);
  for (const char* nonsense : {"", "one", "-1", "1.0", "99999999999999999999"}) {
    write(nonsense);
    CHECK_THROWS_WITH(read_checkpoint(path), ContainsSubstring("format_version is \""));
  }
}

TEST_CASE("a file of another program is read, and is no checkpoint") {
  const TestFolder folder;
  const std::string path = folder.file("other.safetensors");
  const float x[] = {1, 2};
  // as a program writes it that took over the metadata of ours
  write_safetensors(path, {{"format", "pt"}, {checksum_key, "12345678"}}, {{"x", DType::f32, {2}, x}});
  CHECK(!checksum_holds(InputFile(path)));
  CHECK_NOTHROW(verify_checkpoint(path));
  CHECK_THROWS_WITH(read_checkpoint(path), ContainsSubstring("not a checkpoint of mae.cu"));
}
