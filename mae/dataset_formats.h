// The readers behind open_dataset, one .cpp each.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "mae/dataset.h"

namespace mae {

/// An image file and, where it is beside it, its label file; plain or gzip.
Dataset open_idx(const std::filesystem::path& images);

/// Files of CIFAR-10 (3073-byte records) or of CIFAR-100 (3074), at least one.
Dataset open_cifar(const std::vector<std::filesystem::path>& files);

inline constexpr const char* folder_format = "image folder";

Dataset open_image_folder(const std::filesystem::path& folder, const Reading& reading);

/// A folder that `mae pack` wrote: mae/packed.h.
inline constexpr const char* packed_format = "packed";
bool is_packed(const std::filesystem::path& folder);  // or that it began to write
Dataset open_packed(const std::filesystem::path& folder, const Reading& reading);

/// The folders in a folder, hidden ones left out, sorted.
std::vector<std::string> folder_names(const std::filesystem::path& folder);
bool holds_images(const std::filesystem::path& folder);  // in it, not below

/// One path a line; empty lines and those that begin with # are passed over. No labels.
Dataset open_image_list(const std::filesystem::path& list, const Reading& reading);

enum class Split { train, val, test };
inline constexpr const char* split_names[] = {"train", "val", "test"};

/// train or training; val, valid or validation; test; nothing for any other word.
std::optional<Split> split_named(std::string_view name);

/// Which split a request for `wanted` means: where one of val and test is missing, the other goes by both names.
Split split_among(const std::set<Split>& there, Split wanted);

/// Tar files, plain or gzip, in the layout of WebDataset; at least one.
inline constexpr const char* shards_format = "tar shards";
Dataset open_shards(const std::vector<std::filesystem::path>& files, const Reading& reading);

/// Those of a folder without images or folders in it, by the split that is a word of their names, as in
/// imagenet-val-07.tar; where none is of the training split, all are.
std::map<Split, std::vector<std::filesystem::path>> shards_in(const std::filesystem::path& folder);

/// DIR/train-{000..146}.tar, which is how people write many shards, as paths; empty for other text.
std::vector<std::filesystem::path> expand_braces(const std::string& pattern);

/// A table with the column path (or file, filename, image), and label (or class) and split where wanted: train, val
/// (valid, validation) or test, in any case. A table without that column is a training split.
Dataset open_image_csv(const std::filesystem::path& table, Split split, const Reading& reading);
std::set<Split> splits_of_csv(const std::filesystem::path& table);

/// Entries of a folder whose names start and end so, sorted by name.
std::vector<std::filesystem::path> entries(const std::filesystem::path& folder, std::string_view start,
                                           std::string_view end);

/// FNV-1a, 64 bits: h starts at fingerprint_seed.
inline constexpr std::uint64_t fingerprint_seed = 0xcbf29ce484222325ull;
std::uint64_t fingerprint(std::uint64_t h, std::span<const std::byte> bytes);
std::uint64_t fingerprint(std::uint64_t h, std::string_view text);
std::uint64_t fingerprint(std::uint64_t h, std::uint64_t number);

/// CRC-32 of bytes: at memory speed, where FNV-1a over all pixels would be noticed.
std::uint64_t checksum(std::span<const std::byte> bytes);

}  // namespace mae
