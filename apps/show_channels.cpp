#include "apps/show_channels.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/cli.h"
#include "mae/reconstruct.h"

namespace apps {

void add_show_channels_option(OptionTable& options, std::vector<int>& show_channels) {
  options
      .add("show_channels", show_channels,
           "channels that pictures show, counted from 1: one (grey), or three as red,green,blue, such as 4,3,2; "
           "default: "
           "the first ones")
      .shown_as("N[,N,N]");
}

std::vector<int> shown_bands(const std::vector<int>& show_channels, int channels) {
  if (show_channels.empty()) return mae::default_bands(channels);
  const bool inside = std::all_of(show_channels.begin(), show_channels.end(),
                                  [&](int channel) { return channel >= 1 && channel <= channels; });
  if (!inside || (show_channels.size() != 1 && show_channels.size() != 3)) {
    throw UsageError(
        fmt::format("{} cannot be shown: one channel or three, of 1 to {}", fmt::join(show_channels, ","), channels),
        "--show-channels", channels >= 3 ? "--show-channels 3,2,1" : "--show-channels 1");
  }
  std::vector<int> bands;
  for (int channel : show_channels) bands.push_back(channel - 1);
  return bands;
}

}  // namespace apps
