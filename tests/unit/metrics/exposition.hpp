#pragma once

#include <map>
#include <sstream>
#include <string>
#include <vector>

// A strict reader of Prometheus' text format, for tests. Every fault is a line in `faults`.
struct Exposition {
  struct Family {
    std::string type;
    std::string help;
    std::vector<std::pair<std::string, double>> samples;  // "name{labels}" -> value
  };

  std::map<std::string, Family> families;
  std::vector<std::string> faults;

  [[nodiscard]] double value(const std::string& sample) const {
    for (const auto& [name, family] : families) {
      for (const auto& [own, number] : family.samples) {
        if (own == sample) {
          return number;
        }
      }
    }
    return -1;
  }

  [[nodiscard]] bool has(const std::string& family) const { return families.contains(family); }

  static Exposition parse(const std::string& text) {
    Exposition out;
    std::string current;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("# HELP ")) {
        const auto end = line.find(' ', 7);
        current = line.substr(7, end - 7);
        if (out.families.contains(current)) {
          out.faults.push_back("HELP twice: " + current);
        }
        out.families[current].help = line.substr(end + 1);
      } else if (line.starts_with("# TYPE ")) {
        const auto end = line.find(' ', 7);
        if (line.substr(7, end - 7) != current || !out.families[current].type.empty()) {
          out.faults.push_back("TYPE out of place: " + line);
        }
        out.families[current].type = line.substr(end + 1);
      } else {
        out.add_sample(current, line);
      }
    }
    return out;
  }

 private:
  void add_sample(const std::string& current, const std::string& line) {
    const auto space = line.rfind(' ');
    const auto sample = line.substr(0, space);
    const auto name = sample.substr(0, sample.find('{'));
    auto& family = families[current];
    bool fits = name == current;
    if (family.type == "histogram") {
      fits = name == current + "_bucket" || name == current + "_sum" || name == current + "_count";
    }
    if (space == std::string::npos || !fits) {
      faults.push_back("sample out of place: " + line);
      return;
    }
    for (const auto& [own, number] : family.samples) {
      if (own == sample) {
        faults.push_back("sample twice: " + sample);
      }
    }
    const auto text = line.substr(space + 1);
    std::size_t used = 0;
    const double number = std::stod(text, &used);
    if (used != text.size()) {
      faults.push_back("no number: " + line);
    }
    family.samples.emplace_back(sample, number);
  }
};
