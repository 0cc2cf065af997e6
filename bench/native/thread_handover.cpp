// Round-trip time of handing work to another thread and its result back. For each pause given in
// microseconds, how much longer than the pause a round trip takes when the other thread computes for that long. Prints
// one line of JSON: medians in microseconds, in the order of the arguments.

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

double Microseconds(Clock::time_point from) {
  return std::chrono::duration<double, std::micro>(Clock::now() - from).count();
}

class Event {
 public:
  void Set() {
    const uint64_t one = 1;
    if (write(file_, &one, sizeof one) != sizeof one) std::abort();
  }
  void Wait() {
    uint64_t count = 0;
    if (read(file_, &count, sizeof count) != sizeof count) std::abort();
  }

 private:
  int file_ = eventfd(0, 0);
};

double Handover(double pause) {
  constexpr int kRounds = 400;
  Event asked;
  Event answered;
  std::thread other([&] {
    for (int round = 0; round < kRounds; ++round) {
      asked.Wait();
      for (const auto start = Clock::now(); Microseconds(start) < pause;) {
      }
      answered.Set();
    }
  });
  std::vector<double> beyond;
  for (int round = 0; round < kRounds; ++round) {
    const auto start = Clock::now();
    asked.Set();
    answered.Wait();
    beyond.push_back(Microseconds(start) - pause);
  }
  other.join();
  std::nth_element(beyond.begin(), beyond.begin() + kRounds / 2, beyond.end());
  return beyond[kRounds / 2];
}

}  // namespace

int main(int count, char** arguments) {
  std::printf("[");
  for (int i = 1; i < count; ++i) std::printf("%s%.1f", i == 1 ? "" : ",", Handover(std::atof(arguments[i])));
  std::printf("]\n");
}
