// The pages keep their word: an excerpt of a source, a fence that opens with "```cuda PATH" or "```c++ PATH", stands in
// that file line by line, but for its indentation; and a relative link leads to a file.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/catch.h"

namespace {

/// The content of the file at a path from the root, if there is one.
using Read = std::function<std::optional<std::string>(const std::string&)>;

struct Line {
  int number = 0;  // in its file, from 1
  std::string text;
};
using Lines = std::vector<Line>;

struct Excerpt {
  int number = 0;  // line of its fence
  std::string path;
  Lines lines;
};

struct Page {
  std::vector<Excerpt> excerpts;
  Lines prose;
  std::vector<std::string> faults;  // "12: why"
};

Lines lines_of(const std::string& content) {
  Lines lines;
  std::istringstream in(content);
  for (std::string text; std::getline(in, text);) lines.push_back({static_cast<int>(lines.size()) + 1, text});
  return lines;
}

bool is_blank(const std::string& text) { return text.find_first_not_of(' ') == std::string::npos; }
std::size_t indentation(const std::string& text) { return std::min(text.find_first_not_of(' '), text.size()); }
std::string stripped(const std::string& text) {
  return is_blank(text) ? "" : text.substr(indentation(text), text.find_last_not_of(' ') + 1 - indentation(text));
}

/// What follows the backticks of a line that opens or closes a block of code; nothing for any other line.
std::optional<std::string> fence_of(const std::string& line) {
  const std::string text = stripped(line);
  if (text.rfind("```", 0) != 0) return std::nullopt;
  const std::string rest = text.substr(std::min(text.find_first_not_of('`'), text.size()));
  return rest.find('`') == std::string::npos ? std::optional(stripped(rest)) : std::nullopt;
}

Page parse(const std::string& content) {
  Page page;
  std::optional<Excerpt> block;  // an excerpt without a path: code that is not ours to check
  for (const Line& line : lines_of(content)) {
    const auto fence = fence_of(line.text);
    if (block && fence && fence->empty()) {
      if (!block->path.empty()) page.excerpts.push_back(*block);
      block.reset();
    } else if (block) {
      block->lines.push_back(line);
    } else if (fence) {
      const std::size_t end = std::min(fence->find(' '), fence->size());
      const std::string language = fence->substr(0, end);
      block = Excerpt{.number = line.number, .path = {}, .lines = {}};
      if (language == "cuda" || language == "c++") block->path = stripped(fence->substr(end));
      if ((language == "cuda" || language == "c++") && block->path.empty())
        page.faults.push_back(std::to_string(line.number) + ": this excerpt names no file");
    } else {
      page.prose.push_back(line);
    }
  }
  if (block) page.faults.push_back(std::to_string(block->number) + ": this block has no end");
  return page;
}

// ---- excerpts -------------------------------------------------------------------------------------------------------

/// The runs of lines between lines of "...", without the indentation that all share.
std::vector<Lines> parts_of(const Lines& lines) {
  std::size_t common = std::string::npos;
  for (const Line& line : lines) {
    if (!is_blank(line.text) && stripped(line.text) != "...") common = std::min(common, indentation(line.text));
  }
  std::vector<Lines> parts(1);
  for (const Line& line : lines) {
    if (stripped(line.text) == "...") parts.emplace_back();
    else parts.back().push_back({line.number, is_blank(line.text) ? "" : line.text.substr(common)});
  }
  parts.erase(std::remove_if(parts.begin(), parts.end(), [](const Lines& part) { return part.empty(); }), parts.end());
  return parts;
}

/// How many lines of the part stand in `source` from `at` on, moved right by `shift`.
std::size_t equal_lines(const Lines& part, const Lines& source, std::size_t at, std::size_t shift) {
  std::size_t n = 0;
  while (n < part.size() && at + n < source.size() &&
         source[at + n].text == (part[n].text.empty() ? "" : std::string(shift, ' ') + part[n].text))
    ++n;
  return n;
}

/// How far an excerpt and its source go together.
struct Progress {
  std::size_t lines = 0;          // of the excerpt
  const Line* differs = nullptr;  // the excerpt's next line; null: all were found
  std::size_t at = 0;             // index in the source of its own next line
  bool within_part = false;       // the two stand side by side; else differs is looked for from `at` on
};

Progress follow(const std::vector<Lines>& parts, const Lines& source, std::size_t first, std::size_t shift) {
  Progress progress{.at = first};
  for (const Lines& part : parts) {
    const bool fixed = progress.lines == 0;  // the first part begins here; others leave out a line at least
    std::size_t best = 0, best_at = progress.at;
    for (std::size_t at = progress.at + !fixed; at < source.size() && best < part.size(); ++at) {
      const std::size_t n = equal_lines(part, source, at, shift);
      if (n > best) best = n, best_at = at;
      if (fixed) break;
    }
    progress.lines += best;
    progress.at = best_at + best;
    progress.within_part = best > 0;
    if (best < part.size()) {
      progress.differs = &part[best];
      return progress;
    }
  }
  return progress;
}

/// Why the excerpt is none of `source`; empty where it is one.
std::string excerpt_fault(const Excerpt& excerpt, const std::optional<std::string>& content) {
  const auto at_line = [](int number, const std::string& what) { return std::to_string(number) + ": " + what; };
  if (!content) return at_line(excerpt.number, "there is no file " + excerpt.path);
  const std::vector<Lines> parts = parts_of(excerpt.lines);
  if (parts.empty() || parts[0][0].text.empty())
    return at_line(excerpt.number, "an excerpt begins with a line of its source");
  const Lines source = lines_of(*content);
  const Line& begin = parts[0][0];
  Progress best{.differs = &begin};
  for (std::size_t first = 0; first < source.size(); ++first) {
    const std::string& text = source[first].text;
    if (indentation(text) < indentation(begin.text)) continue;
    const Progress progress = follow(parts, source, first, indentation(text) - indentation(begin.text));
    if (!progress.differs) return "";
    if (progress.lines > best.lines) best = progress;
  }
  const std::string wanted = "\"" + stripped(best.differs->text) + "\"";
  if (best.lines == 0) return at_line(best.differs->number, excerpt.path + " has no line " + wanted);
  if (!best.within_part || best.at >= source.size())
    return at_line(best.differs->number,
                   wanted + " is not in " + excerpt.path + " below line " + std::to_string(best.at));
  return at_line(best.differs->number, wanted + ", but " + excerpt.path + ":" + std::to_string(source[best.at].number) +
                                           " has \"" + stripped(source[best.at].text) + "\"");
}

// ---- links ----------------------------------------------------------------------------------------------------------

std::string without_code(std::string line) {
  for (std::size_t begin = 0; (begin = line.find('`', begin)) != std::string::npos;) {
    const std::size_t inside = std::min(line.find_first_not_of('`', begin), line.size());
    const std::string ticks = line.substr(begin, inside - begin);
    const std::size_t end = line.find(ticks, inside);
    if (end == std::string::npos) begin = inside;
    else line.erase(begin, end + ticks.size() - begin);
  }
  return line;
}

/// What the relative links of a line point at, without their #section.
std::vector<std::string> links_of(const std::string& line) {
  const std::string text = without_code(line);
  std::vector<std::string> links;
  for (std::size_t at = 0; (at = text.find("](", at)) != std::string::npos;) {
    at += 2;
    const std::string link = text.substr(at, text.find_first_of(") ", at) - at);
    const bool elsewhere = link.find("://") != std::string::npos || link.rfind("mailto:", 0) == 0;
    if (!elsewhere && link[0] != '#') links.push_back(link.substr(0, link.find('#')));
  }
  return links;
}

/// Every breach of one page as "docs/a.md:12: why".
std::vector<std::string> breaches(const std::string& path, const std::string& content, const Read& read) {
  const Page page = parse(content);
  std::vector<std::string> found = page.faults;
  for (const Excerpt& excerpt : page.excerpts) {
    const std::string fault = excerpt_fault(excerpt, read(excerpt.path));
    if (!fault.empty()) found.push_back(fault);
  }
  for (const Line& line : page.prose) {
    for (const std::string& link : links_of(line.text)) {
      const std::filesystem::path target = std::filesystem::path(path).parent_path() / link;
      if (!read(target.lexically_normal().generic_string()))
        found.push_back(std::to_string(line.number) + ": there is no file " + link);
    }
  }
  for (std::string& fault : found) fault.insert(0, path + ":");
  return found;
}

std::optional<std::string> read_file(const std::string& path) {
  const std::filesystem::path root = MAE_SOURCE_DIR;
  if (path.empty() || path[0] == '/' || path.rfind("..", 0) == 0) return std::nullopt;
  if (!std::filesystem::is_regular_file(root / path)) return std::nullopt;
  std::ifstream in(root / path, std::ios::binary);
  std::ostringstream content;
  content << in.rdbuf();
  return content.str();
}

std::vector<std::string> pages() {
  namespace fs = std::filesystem;
  const fs::path root = MAE_SOURCE_DIR;
  std::vector<std::string> paths{"README.md", "CONTRIBUTING.md"};
  for (const auto& entry : fs::recursive_directory_iterator(root / "docs")) {
    if (entry.path().extension() == ".md") paths.push_back(fs::relative(entry.path(), root).generic_string());
  }
  return paths;
}

/// The breaches of docs/a.md in a repository of these files.
std::vector<std::string> planted(const std::string& page, const std::map<std::string, std::string>& files) {
  return breaches("docs/a.md", page, [&](const std::string& path) {
    const auto file = files.find(path);
    return file == files.end() ? std::nullopt : std::optional(file->second);
  });
}

const char* const source =
    "int twice(int x) {\n"
    "  const int y = 2 * x;\n"
    "\n"
    "  return y;\n"
    "}\n"
    "\n"
    "namespace a {\n"
    "  int twice(int x) {\n"
    "    const int y = x + x;\n"
    "    return y;\n"
    "  }\n"
    "}\n";

std::vector<std::string> planted_excerpt(const std::string& lines) {
  return planted("Text.\n\n```c++ kernels/a.h\n" + lines + "```\n", {{"kernels/a.h", source}});
}

using Faults = std::vector<std::string>;

}  // namespace

TEST_CASE("the pages quote their sources word for word, and their links lead to files") {
  const std::vector<std::string> paths = pages();
  for (const char* known : {"docs/architecture.md", "docs/tour/layernorm.md"}) {
    INFO(known);
    CHECK(std::count(paths.begin(), paths.end(), known) == 1);
  }
  std::size_t excerpts = 0;
  for (const std::string& path : paths) {
    const std::string content = read_file(path).value();
    excerpts += parse(content).excerpts.size();
    for (const std::string& breach : breaches(path, content, read_file)) FAIL_CHECK(breach);
  }
  CHECK(excerpts > 0);
}

TEST_CASE("an excerpt may be moved to the left and may leave lines out") {
  CHECK(planted_excerpt("int twice(int x) {\n  const int y = 2 * x;\n\n  return y;\n}\n").empty());
  CHECK(planted_excerpt("const int y = 2 * x;\n\nreturn y;\n").empty());
  CHECK(planted_excerpt("const int y = x + x;\nreturn y;\n").empty());  // the first try, at the other twice, fails
  CHECK(planted_excerpt("  return y;\n").empty());
  CHECK(planted_excerpt("int twice(int x) {\n    ...\n  return y;\n}\n").empty());
  CHECK(planted_excerpt("...\nint twice(int x) {\n  ...\n}\n...\nnamespace a {\n...\n").empty());
  CHECK(planted("- in a list\n  ```cuda kernels/a.cu\n  f();\n  ```\n", {{"kernels/a.cu", "f();\n"}}).empty());
}

TEST_CASE("an excerpt that is not its source's is seen") {
  CHECK(planted_excerpt("const int y = 3 * x;\n") ==
        Faults{"docs/a.md:4: kernels/a.h has no line \"const int y = 3 * x;\""});
  CHECK(planted_excerpt("int twice(int x) {\n  const int y = 2 * x;\n  return y;\n}\n") ==
        Faults{"docs/a.md:6: \"return y;\", but kernels/a.h:3 has \"\""});
  CHECK(planted_excerpt("  const int y = x + x;\n  return  y;\n") ==
        Faults{"docs/a.md:5: \"return  y;\", but kernels/a.h:10 has \"return y;\""});
  CHECK(planted_excerpt("int twice(int x) {\nconst int y = 2 * x;\n") ==  // the inner lines' indentation counts
        Faults{"docs/a.md:5: \"const int y = 2 * x;\", but kernels/a.h:2 has \"const int y = 2 * x;\""});
  CHECK(planted_excerpt("}\nnothing more\n").size() == 1);
}

TEST_CASE("parts of an excerpt in the wrong order, or with nothing left out between them, are seen") {
  CHECK(planted_excerpt("namespace a {\n...\nint twice(int x) {\n") ==
        Faults{"docs/a.md:6: \"int twice(int x) {\" is not in kernels/a.h below line 7"});
  CHECK(planted_excerpt("const int y = x + x;\n...\nreturn y;\n").size() == 1);
  CHECK(planted_excerpt("const int y = 2 * x;\n...\nreturn y;\n").empty());
}

TEST_CASE("an excerpt of no file, of a missing one, of nothing, or without an end is seen") {
  CHECK(planted("\n```cuda kernels/b.cu\nf();\n```\n", {}) == Faults{"docs/a.md:2: there is no file kernels/b.cu"});
  CHECK(planted("```cuda\nf();\n```\n", {}) == Faults{"docs/a.md:1: this excerpt names no file"});
  CHECK(planted_excerpt("") == Faults{"docs/a.md:3: an excerpt begins with a line of its source"});
  CHECK(planted_excerpt("...\n").size() == 1);
  CHECK(planted("```c++ kernels/a.h\nint twice(int x) {\n", {{"kernels/a.h", source}}) ==
        Faults{"docs/a.md:1: this block has no end"});
  CHECK(planted("```cpp\nf();\n```\n```text\n```\n```sh\na\n```\n", {}).empty());
  CHECK(!read_file("kernels"));
  CHECK(!read_file("../README.md"));
}

TEST_CASE("a link that leads nowhere is seen") {
  const std::map<std::string, std::string> files{{"docs/b.md", ""}, {"README.md", ""}, {"docs/tour/c.md", ""}};
  CHECK(planted("[b](b.md), [b](b.md#part) and\n[c](tour/c.md), [top](../README.md)\n", files).empty());
  CHECK(planted("[x](https://a.org/b.md) [y](#here) ![z](mailto:a@b.c)\n", files).empty());
  CHECK(planted("`[](int x)` and `` a[`](x) `` are code\n```text\n[x](y.md)\n```\n", files).empty());
  CHECK(planted("[b](b.md)\n[c](c.md)\n", files) == Faults{"docs/a.md:2: there is no file c.md"});
  CHECK(planted("[b](b.md), [up](../../README.md)\n", files).size() == 1);
  CHECK(planted("[a](tour), [b](/docs/b.md) `code` [c](B.md#part)\n", files).size() == 3);
}
