#include "engine/checkpoint.h"

#include <charconv>
#include <optional>
#include <vector>

#include "engine/checksum.h"
#include "engine/safetensors.h"

namespace engine {
namespace {

/// A flat buffer on the host.
std::vector<std::byte> download(kernels::Stream& stream, const View& flat) {
  std::vector<std::byte> host(static_cast<std::size_t>(flat.shape.count()) * kernels::size_of(flat.dtype));
  stream.copy(host.data(), flat.data, host.size());
  stream.synchronize();
  return host;
}

std::vector<std::int64_t> dims(const Shape& shape) { return {shape.dims.begin(), shape.dims.begin() + shape.rank}; }

std::int64_t number(const std::string& text, const std::string& key, const std::string& path) {
  std::int64_t value = -1;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || value < 0) {
    throw kernels::Error("the metadata key " + key + " is \"" + text + "\", not a number", path);
  }
  return value;
}

}  // namespace

void save_checkpoint(const std::string& path, kernels::Stream& stream, const Parameters& parameters,
                     const Checkpoint& checkpoint, Content content, const States& states) {
  struct Source {
    const Parameters& table;
    std::string prefix;
    View flat;
    std::vector<std::byte> host;
  };
  std::vector<Source> sources{{parameters, "", parameters.master(), {}}};
  if (content == Content::training_state && parameters.moment1().data) {
    sources.push_back({parameters, "optimizer.moment1.", parameters.moment1(), {}});
    sources.push_back({parameters, "optimizer.moment2.", parameters.moment2(), {}});
  }
  for (const Parameters* state : states) sources.push_back({*state, "", state->master(), {}});
  std::vector<TensorToWrite> tensors;
  for (Source& source : sources) {
    source.host = download(stream, source.flat);
    const View flat = kernels::view_of(source.host.data(), source.flat.dtype, source.flat.shape);
    for (int i = 0; i < static_cast<int>(source.table.segments().size()); ++i) {
      const Segment& segment = source.table.segments()[static_cast<std::size_t>(i)];
      if (!source.prefix.empty() && segment.trainable == Trainable::no) continue;
      const View values = source.table.part(flat, i, segment.shape);
      tensors.push_back({source.prefix + segment.name, flat.dtype, dims(segment.shape), values.as<std::byte>()});
    }
  }
  Text all = checkpoint.metadata;
  all["format"] = "mae.cu";
  all["format_version"] = std::to_string(checkpoint_version);
  all["step"] = std::to_string(checkpoint.step);
  all.erase(checksum_key);  // of a file that was read
  write_safetensors(path, {all.begin(), all.end()}, tensors, Checksum::crc32);
}

std::uint64_t checkpoint_bytes(const Parameters& parameters, const States& states) {
  constexpr std::uint64_t header = 256;  // bytes of a tensor's entry, about, and of the metadata
  const auto values = static_cast<std::uint64_t>(parameters.count() + 2 * parameters.trainable_count());
  std::uint64_t bytes =
      values * kernels::size_of(parameters.master_dtype()) + header * (3 * parameters.segments().size() + 64);
  for (const Parameters* state : states)
    bytes += static_cast<std::uint64_t>(state->count()) * kernels::size_of(state->master_dtype()) +
             header * state->segments().size();
  return bytes;
}

namespace {

void verify(const SafetensorsFile& file) {
  const std::optional<bool> holds = checksum_holds(file.file());
  if (holds && !*holds) {
    throw kernels::Error("the file is damaged: the checksum in its metadata does not hold", file.path(),
                         "a copy of it, or another checkpoint");
  }
  if (holds) return;
  std::vector<std::byte> bytes;
  for (const TensorEntry& entry : file.header().tensors) {
    bytes.resize(entry.end - entry.begin);
    file.read(entry, bytes.data());
  }
}

}  // namespace

void verify_checkpoint(const std::string& path) { verify(SafetensorsFile(path)); }

Checkpoint read_checkpoint(const std::string& path) {
  const SafetensorsFile file(path);
  Checkpoint checkpoint;
  for (const auto& [key, value] : file.header().metadata) checkpoint.metadata[key] = value;
  if (checkpoint.metadata["format"] != "mae.cu") {
    throw kernels::Error("this safetensors file is not a checkpoint of mae.cu: its metadata says no format", path);
  }
  const std::int64_t version = number(checkpoint.metadata["format_version"], "format_version", path);
  if (version > checkpoint_version) {
    throw kernels::Error("this checkpoint has format version " + std::to_string(version) +
                             ", this program reads up to " + std::to_string(checkpoint_version),
                         path, "a newer mae");
  }
  checkpoint.step = number(checkpoint.metadata["step"], "step", path);
  return checkpoint;
}

namespace {

/// Calls f with each tensor that is wanted of a file: its name, the buffer that it belongs to, the segment's index.
template <class F>
void each_tensor(const Parameters& parameters, Content content, F&& f) {
  for (std::size_t i = 0; i < parameters.segments().size(); ++i) {
    const Segment& segment = parameters.segments()[i];
    f(segment.name, &Parameters::master, i);
    if (content == Content::weights || segment.trainable == Trainable::no) continue;
    f("optimizer.moment1." + segment.name, &Parameters::moment1, i);
    f("optimizer.moment2." + segment.name, &Parameters::moment2, i);
  }
}

}  // namespace

void check_checkpoint(const std::string& path, const Parameters& parameters, Content content) {
  const SafetensorsFile file(path);
  each_tensor(parameters, content, [&](const std::string& name, auto, std::size_t i) {
    file.at(name, parameters.master_dtype(), dims(parameters.segments()[i].shape));
  });
}

void load_checkpoint(const std::string& path, kernels::Stream& stream, Parameters& parameters, Content content,
                     const std::function<bool(const std::string&)>& wanted) {
  const SafetensorsFile file(path);
  verify(file);
  std::vector<std::byte> host;
  each_tensor(parameters, content, [&](const std::string& name, auto buffer, std::size_t i) {
    if (wanted && !wanted(name)) return;
    const View flat = (parameters.*buffer)();
    const Shape& shape = parameters.segments()[i].shape;
    const TensorEntry& entry = file.at(name, flat.dtype, dims(shape));
    host.resize(entry.end - entry.begin);
    file.read(entry, host.data());
    stream.copy(parameters.part(flat, static_cast<int>(i), shape).data, host.data(), host.size());
    stream.synchronize();
  });
  parameters.refresh_compute(stream);
}

}  // namespace engine
