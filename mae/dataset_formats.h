// The readers behind open_dataset, one .cpp each.
#pragma once

#include <filesystem>
#include <string_view>

#include "mae/dataset.h"

namespace mae {

/// An image file and, where it is beside it, its label file; plain or gzip.
Dataset open_idx(const std::filesystem::path& images);

/// Files of 3073-byte records, one after the other.
Dataset open_cifar10(const std::vector<std::filesystem::path>& files);

inline constexpr const char* folder_format = "image folder";

Dataset open_image_folder(const std::filesystem::path& folder, const Reading& reading);

/// One path a line; empty lines and those that begin with # are passed over. No labels.
Dataset open_image_list(const std::filesystem::path& list, const Reading& reading);

enum class Split { train, test };

/// A table with the column path (or file, filename, image), and label (or class) and split where wanted. Rows of the
/// split val count as test; a table without the column is a training split.
Dataset open_image_csv(const std::filesystem::path& table, Split split, const Reading& reading);
bool csv_has_test_split(const std::filesystem::path& table);

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
