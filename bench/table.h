// The table of `mae bench kernels`: one block a work, its rows by time; rows without a time stay, with the reason.
#pragma once

#include <string>
#include <vector>

#include "bench/ceilings.h"
#include "bench/contest.h"

namespace bench {

/// What a row says instead of figures.
struct Without {
  std::string row, why;
};

struct Block {
  std::string heading;                          // "attention_forward  B=64 T=50  bf16  cpu  (floor 9.8 us: bytes)"
  std::string views;                            // "variation 1: qkv -> out, lse"
  std::vector<std::vector<std::string>> cells;  // the first row is the head
  std::vector<Without> without;                 // refused, failed, wrong
  bool doubtful = false, rounded = false;       // a row has the mark * or ~, which mark_notes() explains
};

/// `wide`: three more columns, of a GPU's kernels.
Block block_of(const Work& work, const Device& device, const Contest& contest, const Ceilings& ceilings, bool wide);

/// At most 100 characters wide, but for the figures of `wide`.
std::string text_of(const Block& block);
std::string markdown_of(const Block& block);
std::string mark_notes(bool doubtful, bool rounded);

}  // namespace bench
