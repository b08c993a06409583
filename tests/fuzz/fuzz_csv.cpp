// The same bytes as a table (*.csv, both splits), as a list (*.txt) and as a table of many labels, in a folder that
// holds a.png and b.png.
#include <fstream>

#include "mae/dataset_formats.h"
#include "mae/table_labels.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/folder.h"

namespace {

struct Images {
  TestFolder folder;
  mae::Dataset both;  // a.png and b.png, without labels
  Images() {
    for (const char* name : {"a.png", "b.png"})
      mae::write_png(folder.file(name), mae::make_image(2, 3, 3, kernels::DType::u8));
    std::ofstream(folder.file("both.txt")) << "a.png\nb.png\n";
    both = mae::open_image_list(folder.file("both.txt"), {});
  }
};

void read(const mae::Dataset& images) {
  for (std::int64_t i = 0; i < images.size; ++i) images.label(i);
  images.image(images.size - 1);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Images images;
  const std::string table = images.folder.file("table.csv"), list = images.folder.file("list.txt");
  for (const std::string& path : {table, list})
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  fuzz::attempt([&] { mae::splits_of_csv(table); });
  for (const auto empty : {mae::EmptyClasses::refuse, mae::EmptyClasses::allow})
    fuzz::attempt([&] { mae::load_multi_labels(table, images.both, empty); });
  fuzz::attempt([&] { read(mae::open_image_csv(table, mae::Split::train, {})); });
  fuzz::attempt([&] { read(mae::open_image_csv(table, mae::Split::val, {})); });
  return fuzz::attempt([&] { read(mae::open_image_list(list, {})); });
}
