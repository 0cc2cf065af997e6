// A main for the targets of this folder without clang and its libFuzzer: mutates seeds at random, without coverage
// feedback, and so finds less in the same time. Built and run by scripts/fuzz.mjs.
//
// usage: PROGRAM SECONDS SEED CURRENT FILE…      seconds of processor time; CURRENT holds the input that runs

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr size_t kMaxBytes = 65'536;
constexpr unsigned kMaxSeconds = 60;

constexpr std::array<std::string_view, 24> kOdd{"0",
                                                "-1",
                                                "1",
                                                "255",
                                                "65536",
                                                "2147483648",
                                                "4294967295",
                                                "18446744073709551616",
                                                "1e308",
                                                "0.5",
                                                "null",
                                                "true",
                                                "[]",
                                                "{}",
                                                "\"\"",
                                                "\"a\"",
                                                "\"\\ud800\"",
                                                "\xed\xa0\x80",
                                                "\xf4\x8f\xbf\xbf",
                                                "\xcc\x81",
                                                "\xe2\x80\x8d",
                                                "\xe4\xb8\xad",
                                                "[[[[[[[[[[[[[[[[",
                                                "\xff"};

class Changer {
 public:
  Changer(std::vector<std::string> seeds, unsigned long seed) : seeds_(std::move(seeds)), random_(seed) {}

  std::string Next() {
    std::string input = Any(seeds_);
    for (size_t edits = 1 + Below(6); edits > 0; --edits) {
      Change(input);
    }
    input.resize(std::min(input.size(), kMaxBytes));
    return input;
  }

 private:
  size_t Below(size_t bound) { return bound == 0 ? 0 : random_() % bound; }
  template <typename List>
  const typename List::value_type& Any(const List& list) {
    return list[Below(list.size())];
  }

  /// The position of a JSON number, word or string at or after a random one.
  std::pair<size_t, size_t> Value(const std::string& input) {
    constexpr std::string_view kStarts = "0123456789-\"tfn";
    const size_t from = input.find_first_of(kStarts, Below(input.size()));
    if (from == std::string::npos) {
      return {0, 0};
    }
    const size_t end = input[from] == '"' ? input.find('"', from + 1) : input.find_first_of(",]}: \n", from);
    return {from, end == std::string::npos ? 0 : end - from + (input[from] == '"' ? 1 : 0)};
  }

  void Change(std::string& input) {
    const size_t at = Below(input.size() + 1);
    switch (Below(8)) {
      case 0:
        if (!input.empty()) input[at % input.size()] ^= static_cast<char>(1U << Below(8));
        break;
      case 1:
        if (!input.empty()) input[at % input.size()] = static_cast<char>(Below(256));
        break;
      case 2:
        input.insert(at, Any(kOdd));
        break;
      case 3:
        input.erase(at, Below(Below(2) == 0 ? 8 : input.size() + 1));
        break;
      case 4:
        input.insert(at, input.substr(Below(input.size() + 1), Below(200)));
        break;
      case 5: {
        const std::string& other = Any(seeds_);
        input.replace(at, Below(100), other.substr(Below(other.size() + 1), Below(100)));
        break;
      }
      case 6: {
        const auto [from, length] = Value(input);
        input.replace(from, length, Any(kOdd));
        break;
      }
      default: {
        const std::string& other = Any(seeds_);
        const auto [from, length] = Value(other);
        const auto [to, old] = Value(input);
        input.replace(to, old, other.substr(from, length));
      }
    }
  }

  std::vector<std::string> seeds_;
  std::mt19937_64 random_;
};

double SecondsSpent() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

}  // namespace

int main(int count, char** arguments) {
  const std::vector<std::string> given(arguments + 1, arguments + count);
  if (given.size() < 4) {
    std::fprintf(stderr, "usage: PROGRAM SECONDS SEED CURRENT FILE...\n");
    return 2;
  }
  std::vector<std::string> seeds;
  for (size_t i = 3; i < given.size(); ++i) {
    std::ifstream file(given[i], std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  const int current_input = open(given[2].c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const auto run = [current_input](const std::string& input) {
    const auto written = pwrite(current_input, input.data(), input.size(), 0);
    if (written < 0 || ftruncate(current_input, written) != 0) {
      std::perror("the input that runs cannot be kept");
      std::exit(2);
    }
    alarm(kMaxSeconds);  // an input that hangs ends the process
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
    return 1;
  };
  size_t inputs = 0;
  for (const std::string& seed : seeds) {
    inputs += run(seed);
  }
  Changer changer(std::move(seeds), std::strtoul(given[1].c_str(), nullptr, 10));
  const double end = SecondsSpent() + std::strtod(given[0].c_str(), nullptr);
  while (SecondsSpent() < end) {
    inputs += run(changer.Next());
  }
  std::printf("%zu inputs\n", inputs);
}
