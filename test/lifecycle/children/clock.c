// Preloaded into a child: the wall clock jumps by as many seconds as the file named by CLOCK_FILE says, whenever it says another number. The
// monotonic clock goes on as it does.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long jump(void) {
  static int (*real)(clockid_t, struct timespec*);
  static long seconds;
  static time_t read_at = -1;
  struct timespec now;
  if (real == NULL) real = dlsym(RTLD_NEXT, "clock_gettime");
  real(CLOCK_MONOTONIC, &now);
  const time_t tenth = now.tv_sec * 100 + now.tv_nsec / 10000000;
  if (tenth == read_at) return seconds;
  read_at = tenth;
  const char* name = getenv("CLOCK_FILE");
  FILE* file = name == NULL ? NULL : fopen(name, "r");
  if (file != NULL) {
    if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
    fclose(file);
  }
  return seconds;
}

int clock_gettime(clockid_t clock, struct timespec* time) {
  static int (*real)(clockid_t, struct timespec*);
  if (real == NULL) real = dlsym(RTLD_NEXT, "clock_gettime");
  const int result = real(clock, time);
  if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) time->tv_sec += jump();
  return result;
}

int gettimeofday(struct timeval* restrict time, void* restrict zone) {
  static int (*real)(struct timeval* restrict, void* restrict);
  if (real == NULL) real = dlsym(RTLD_NEXT, "gettimeofday");
  const int result = real(time, zone);
  time->tv_sec += jump();
  return result;
}

time_t time(time_t* result) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (result != NULL) *result = now.tv_sec;
  return now.tv_sec;
}
