// A run that is asked to end: by SIGTERM, SIGINT or SIGHUP, or because its time is over. Being asked changes nothing by
// itself: the run looks between two steps, saves, and ends with exit code 75.
#pragma once

#include <string>

namespace apps {

class StopRequest {
 public:
  /// From here on the signals only ask; a second SIGINT (Ctrl-C) ends the process at once. A signal that the process
  /// was started to ignore (nohup) stays ignored. `deadline`: of clock_seconds(); infinite for none.
  explicit StopRequest(double deadline);
  /// The signals mean again what they meant before.
  ~StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;

  /// "SIGTERM"; empty while no signal has come.
  std::string signal() const;
  /// The same, or "--max-time".
  std::string reason() const;

 private:
  double deadline_;
};

/// Seconds of "3h50m", "10m", "90s", "1d12h": numbers with units, large ones first. Negative where it is none.
double parse_duration(const std::string& text);

}  // namespace apps
