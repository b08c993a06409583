// Golden tensors written by tests/golden/make_golden.py.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/safetensors.h"
#include "tests/support/session.h"

namespace test {

class Golden {
 public:
  explicit Golden(const std::string& name) : file_(std::string(MAE_SOURCE_DIR) + "/tests/golden/" + name) {
    for (const auto& [key, value] : file_.header().metadata) metadata_[key] = value;
  }
  std::string meta(const std::string& key) const { return metadata_.at(key); }
  double number(const std::string& key) const { return std::stod(meta(key)); }
  int integer(const std::string& key) const { return std::stoi(meta(key)); }
  bool has(const std::string& name) const { return file_.find(name) != nullptr; }
  const std::vector<engine::TensorEntry>& tensors() const { return file_.header().tensors; }

  Shape shape(const std::string& name) const {
    Shape s;
    for (std::int64_t size : file_.find(name)->shape) s.dims[static_cast<std::size_t>(s.rank++)] = size;
    return s;
  }
  std::vector<double> values(const std::string& name) const {
    const engine::TensorEntry* entry = file_.find(name);
    INFO("golden tensor " << name);
    REQUIRE(entry);
    const auto count = static_cast<std::size_t>(shape(name).count());
    if (entry->type == engine::StoredType::f64) {
      std::vector<double> v(count);
      file_.read(*entry, v.data());
      return v;
    }
    std::vector<std::int32_t> v(count);
    file_.read(*entry, v.data());
    return {v.begin(), v.end()};
  }

 private:
  engine::SafetensorsFile file_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace test
