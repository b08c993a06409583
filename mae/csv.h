// Tables of text: RFC 4180, with LF or CRLF, and a byte-order mark at the start passed over.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace mae {

struct Csv {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;  // each as long as the header
  std::vector<int> lines;                      // the line that each row begins in, from 1
};

/// The first row is the header. Empty lines are passed over. Throws kernels::Error naming `where` and the line for a
/// quote without its end, for text behind a closing quote, for a row of another length, and where there is no header.
Csv parse_csv(std::string_view text, const std::string& where);

/// The column of the first of these names that the header has, or -1.
int column_of(const Csv& csv, std::initializer_list<const char*> names);

/// What a column with the files of samples may be called.
inline constexpr std::initializer_list<const char*> path_columns = {"path", "file", "filename", "image"};

}  // namespace mae
