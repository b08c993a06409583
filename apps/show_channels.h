// --show-channels: which channels of an image a picture shows.
#pragma once

#include <vector>

#include "apps/options.h"

namespace apps {

void add_show_channels_option(OptionTable& options, std::vector<int>& show_channels);

/// Channels from 0 for mae::picture; the option counts from 1, as people count the bands of a satellite. Without the
/// option the first three, or the first. Throws UsageError where there are not one or three, or not in the image.
std::vector<int> shown_bands(const std::vector<int>& show_channels, int channels);

}  // namespace apps
