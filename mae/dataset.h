// A data set is a count and two functions: sample -> image, sample -> label. What kind it is, is told by its content.
//
//   IDX            a file (plain or gzip) of u8 or f32 images, its labels beside it under the name with "labels" for
//                  "images"; or a folder with train-images* and t10k-images*   (MNIST, Fashion-MNIST)
//   CIFAR-10       a file of 3073-byte records (label, 1024 R, 1024 G, 1024 B), or a folder with data_batch_*.bin and
//                  test_batch.bin, or with train.bin and test.bin
//   CIFAR-100      the same with 3074 bytes (coarse label, fine label, pixels), and fine labels
//   tar shards     WebDataset's layout: KEY.jpg and KEY.cls side by side; a file, plain or gzip, a folder of them, or
//                  DIR/train-{000..146}.tar
//   image folder   JPEG, PNG, TIFF and .npy files: DIR/<class>/**/<file>, labels in the order of the class names; where
//                  images also lie beside the folders, all of them, without labels
//   image list     *.txt, one path a line, no labels; # begins a comment line
//   image table    *.csv with a column path and, where wanted, label and split
//   packed         a folder that `mae pack` wrote: decoded images, mapped into memory
//
// Where splits lie in one folder (also DIR/train and DIR/val or DIR/test), `DIR` and `DIR:train` are the training split
// and `DIR:val` and `DIR:test` the others; so it is for a table with a column split. Where there is only one other, it
// goes by both names. IDX, CIFAR and gzip shards are held in memory; of folders and plain shards only the names are.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "mae/image.h"

namespace mae {

enum class Orientation { as_stored, upright };

struct Reading {
  int channels = 0;  // of every image; 0: what the files hold, and 3 for JPEG and PNG files
  Orientation orientation = Orientation::as_stored;  // as_stored: EXIF's wish is ignored, as in the reference recipe
};

struct Dataset {
  std::string path;  // as the user gave it
  std::string
      format;  // "IDX", "CIFAR-10", "CIFAR-100", "tar shards", "image folder", "image list", "image table", "packed"
  std::int64_t size = 0;      // samples, at least 1
  int channels = 0;           // of every image
  int height = 0, width = 0;  // of every image; 0 where they may differ
  kernels::DType dtype = kernels::DType::u8;
  std::vector<std::string> classes;              // names, empty without labels
  std::uint64_t fingerprint = 0;                 // says whether a resumed run sees the same data; see open_dataset
  std::string folder;                            // whose images they are, it and all below; empty: no such folder
  std::map<std::string, std::int64_t> left_out;  // files in it that are no images: extension -> how many

  // Both may be called from many threads at once, with 0 <= i < size.
  std::function<Image(std::int64_t)> image;
  std::function<int(std::int64_t)> label;         // -1: none
  std::function<std::string(std::int64_t)> file;  // path; none where samples have no files of their own
  // The pixels of image(i) where they lie, as long as there is a copy of the data set; none where they are decoded.
  std::function<ImageView(std::int64_t)> view;
};

/// Where a sample comes from, for people: its file, or "PATH, sample 17".
std::string name_of(const Dataset& data, std::int64_t sample);

/// Throws kernels::Error that names the file.
/// The fingerprint does not change when the data are moved or unpacked: checksums of all pixels and labels for what is
/// held in memory or packed; names, sizes and labels of all files, the first 4 KiB of the first and the orientation for
/// the others.
Dataset open_dataset(const std::string& path, const Reading& reading = {});

/// The splits "val" and "test" that lie beside a training split: `path` + ":val" finds the one. Empty for most data.
std::vector<std::string> other_splits(const std::string& path);

/// Sample i of it is sample indices[i] of `data`; each may come more than once. All else is that of `data`, but for the
/// size and the fingerprint, which the indices change. Throws kernels::Error for no samples and for one that is not
/// there.
Dataset subset(const Dataset& data, std::vector<std::int64_t> indices);

/// round(fraction x labelled samples) of them, in their order, as many of each class as possible: those that
/// `choose_labels` (mae/probe.h) draws by the seed. Throws kernels::Error where there are no labels, and where a class
/// would be empty.
Dataset label_fraction(const Dataset& data, double fraction, std::uint32_t seed);

}  // namespace mae
