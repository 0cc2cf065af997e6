// Compares the speed of graphs, and their vectors with given ones. Texts are token ids; one thread.
//
// usage: encoder_bench [--seconds S] [--vectors IDS VECTORS] GRAPH[:PRECISION]…
//   Graphs are interleaved call by call, so that other load of the machine affects all of them; times are CPU time
//   of the thread, ratios are to the first. IDS: little-endian int32: texts, then for each its length and ids. VECTORS:
//   float32, one unit vector per text. PRECISION (fp32, bf16, int8) is for graphs of gabion's own encoder; default
//   bf16. GABION_ISA forces an instruction set.

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "model.hpp"
#include "pooling.hpp"
#include "session.hpp"

namespace {

using Clock = std::chrono::steady_clock;

struct Implementation {
  std::string name;
  std::unique_ptr<const gabion::Session> session;
  double open_ms = 0;
  std::vector<double> times;
};

template <typename T>
std::vector<T> ReadAll(const char* file) {
  std::ifstream stream(file, std::ios::binary | std::ios::ate);
  std::vector<T> values(static_cast<size_t>(stream.tellg()) / sizeof(T));
  stream.seekg(0);
  stream.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
  return values;
}

/// CPU time of this thread, which excludes other processes.
double ThreadMilliseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

double Milliseconds(Clock::time_point from) {
  return std::chrono::duration<double, std::milli>(Clock::now() - from).count();
}

/// Resident memory in MB: of the process's own and of mapped files.
void PrintMemory(const char* when) {
  std::ifstream status("/proc/self/status");
  std::string line;
  std::printf("memory %s:", when);
  while (std::getline(status, line)) {
    if (line.starts_with("RssAnon") || line.starts_with("RssFile")) {
      std::printf(" %s %.1f MB", line.substr(0, 7).c_str(), std::atof(line.c_str() + 8) / 1024);
    }
  }
  std::printf("\n");
}

Implementation Open(const std::string& argument) {
  const auto colon = argument.rfind(':');
  const std::string precision = colon == std::string::npos ? "bf16" : argument.substr(colon + 1);
  const std::string file = argument.substr(0, colon);
  const auto requested = precision == "fp32"   ? gabion::kernels::Precision::kFp32
                         : precision == "int8" ? gabion::kernels::Precision::kInt8
                                               : gabion::kernels::Precision::kBf16;
  const auto start = Clock::now();
  Implementation implementation;
  const gabion::Tokenizer tokenizer(file.substr(0, file.rfind("/onnx/")) + "/tokenizer.json");
  const gabion::SessionOptions options{file, {"cpu"}, requested, {}, 256};
  implementation.session = gabion::OpenSession(options, gabion::SamplesFor(tokenizer, options));
  implementation.open_ms = Milliseconds(start);
  const std::string set = implementation.session->info().instruction_set;
  implementation.name = file.substr(file.rfind('/') + 1) + (set.empty() ? "" : " " + precision + " " + set);
  return implementation;
}

/// The vector of the scratch's ids.
void Vector(const gabion::Session& session, gabion::Scratch& scratch, std::vector<float>& vector) {
  vector.resize(session.info().width);
  gabion::TextTask task;
  task.vectors = vector.data();
  task.windows = {{0, scratch.ids.size()}};
  gabion::TextTask* const tasks[] = {&task};
  session.Run(tasks, scratch);
}

void CompareVectors(Implementation& implementation, const std::vector<int32_t>& ids,
                    const std::vector<float>& expected) {
  gabion::Scratch scratch;
  std::vector<float> vector;
  std::vector<double> cosines;
  size_t at = 1;
  for (int32_t text = 0; text < ids[0]; ++text) {
    const auto tokens = static_cast<size_t>(ids[at++]);
    scratch.ids.assign(ids.begin() + static_cast<std::ptrdiff_t>(at),
                       ids.begin() + static_cast<std::ptrdiff_t>(at + tokens));
    at += tokens;
    Vector(*implementation.session, scratch, vector);
    const float* other = expected.data() + static_cast<size_t>(text) * vector.size();
    double dot = 0;
    double squares = 0;
    double other_squares = 0;
    for (size_t i = 0; i < vector.size(); ++i) {
      dot += static_cast<double>(vector[i]) * static_cast<double>(other[i]);
      squares += static_cast<double>(vector[i]) * static_cast<double>(vector[i]);
      other_squares += static_cast<double>(other[i]) * static_cast<double>(other[i]);
    }
    cosines.push_back(dot / std::sqrt(squares * other_squares));
  }
  std::sort(cosines.begin(), cosines.end());
  double sum = 0;
  for (const double cosine : cosines) {
    sum += cosine;
  }
  std::printf("%-44s worst %.9f  1%% %.9f  mean %.9f over %zu texts\n", implementation.name.c_str(), cosines[0],
              cosines[cosines.size() / 100], sum / static_cast<double>(cosines.size()), cosines.size());
}

void Race(std::vector<Implementation>& implementations, size_t tokens, double seconds) {
  gabion::Scratch scratch;
  std::vector<float> vector;
  constexpr size_t kTexts = 64;
  std::vector<std::vector<int64_t>> texts(kTexts);
  uint32_t random = 1;
  for (auto& text : texts) {
    for (size_t i = 0; i < tokens; ++i) {
      random = random * 1664525U + 1013904223U;
      text.push_back(1000 + (random >> 8U) % 28000U);
    }
  }
  for (Implementation& implementation : implementations) {
    implementation.times.clear();
  }
  const auto start = Clock::now();
  for (size_t round = 0; round < 8 || Milliseconds(start) < seconds * 1000; ++round) {
    scratch.ids = texts[round % kTexts];
    for (Implementation& implementation : implementations) {
      const double begin = ThreadMilliseconds();
      Vector(*implementation.session, scratch, vector);
      implementation.times.push_back(ThreadMilliseconds() - begin);
    }
  }
  for (Implementation& implementation : implementations) {
    std::sort(implementation.times.begin(), implementation.times.end());
  }
  for (const Implementation& implementation : implementations) {
    const auto at = [](const Implementation& of, size_t percent) { return of.times[of.times.size() * percent / 100]; };
    std::printf("%4zu tokens  %-44s min %8.3f  p10 %8.3f  p50 %8.3f ms   ratio min %.3f  p10 %.3f\n", tokens,
                implementation.name.c_str(), at(implementation, 0), at(implementation, 10), at(implementation, 50),
                at(implementation, 0) / at(implementations[0], 0), at(implementation, 10) / at(implementations[0], 10));
  }
}

}  // namespace

int main(int count, char** arguments) {
  try {
    double seconds = 2;
    std::vector<int32_t> ids;
    std::vector<float> vectors;
    std::vector<Implementation> implementations;
    for (int i = 1; i < count; ++i) {
      if (std::strcmp(arguments[i], "--seconds") == 0 && i + 1 < count) {
        seconds = std::atof(arguments[++i]);
      } else if (std::strcmp(arguments[i], "--vectors") == 0 && i + 2 < count) {
        ids = ReadAll<int32_t>(arguments[++i]);
        vectors = ReadAll<float>(arguments[++i]);
      } else {
        implementations.push_back(Open(arguments[i]));
        std::printf("%-44s opened in %.1f ms\n", implementations.back().name.c_str(), implementations.back().open_ms);
        PrintMemory("after it");
      }
    }
    for (Implementation& implementation : implementations) {
      if (!ids.empty()) {
        CompareVectors(implementation, ids, vectors);
      }
    }
    for (const size_t tokens : {8, 16, 32, 64, 128, 256}) {
      if (seconds > 0 && !implementations.empty()) {
        Race(implementations, tokens, seconds);
      }
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
