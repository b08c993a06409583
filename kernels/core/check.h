// One exception for everything that can go wrong, in three parts that a user sees as three lines.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace kernels {

/// what: the fact. where: file, flag, kernel or tensor. advice: the next thing to try (may be empty).
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& what, std::string where = {}, std::string advice = {})
      : std::runtime_error(where.empty() ? what : where + ": " + what),
        fact_(what),
        where_(std::move(where)),
        advice_(std::move(advice)) {}

  const std::string& fact() const { return fact_; }
  const std::string& where() const { return where_; }
  const std::string& advice() const { return advice_; }

 private:
  std::string fact_, where_, advice_;
};

}  // namespace kernels
