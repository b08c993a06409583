#include "apps/initial_weights.h"

#include <fmt/core.h>

#include "apps/table.h"

namespace apps {

using engine::Json;

void tell(const mae::Weights& weights) {
  if (weights.ours()) return;
  fmt::print(stderr, "{}: {}\n", printable(weights.path()), weights.description());
  for (const std::string& note : weights.notes()) fmt::print(stderr, "note: {}\n", note);
}

Json report_json(const mae::LoadReport& report) {
  Json loaded = Json::array(), adapted = Json::object({}), initial = Json::object({}), ignored = Json::array();
  for (const mae::TensorFate& f : report.fates) {
    switch (f.fate) {
      case mae::Fate::loaded:
        loaded.add({}, f.name);
        break;
      case mae::Fate::adapted:
        adapted.add(f.name, f.note);
        break;
      case mae::Fate::initial:
        initial.add(f.name, f.note);
        break;
      case mae::Fate::ignored:
        ignored.add({}, f.name);
        break;
    }
  }
  return Json::object({{"file", report.file},
                       {"description", report.description},
                       {"notes", report.notes},
                       {"loaded", loaded},
                       {"adapted", adapted},
                       {"initial", initial},
                       {"ignored", ignored}});
}

void tell(const mae::LoadReport& report, Json& line, const char* key) {
  if (report.fates.empty()) return;
  fmt::print("{}\n", text_of(report));
  line.add(key, report_json(report));
}

}  // namespace apps
