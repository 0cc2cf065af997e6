// What the standard libraries inside the addon ask of glibc 2.29 and newer, for systems that have 2.28: defined here,
// these functions are not looked for in the system's library. scripts/prebuild/lower-glibc.mjs does the rest.
//
// Left out of builds with sanitizers, which put themselves between the same functions and the system.

#include <features.h>

#if defined(__GLIBC__)

#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

extern "C" {

// glibc 2.32: the C++ library may leave out atomic operations while there is one thread. Here there are always more.
extern char __libc_single_threaded;  // NOLINT(bugprone-reserved-identifier)
char __libc_single_threaded = 0;     // NOLINT(bugprone-reserved-identifier)

// glibc 2.30. A wait until a time of the steady clock becomes one until the same moment of the system's clock; callers
// check the steady clock again when it ends early.
int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock,
                           const struct timespec* until) {
  constexpr long kSecond = 1'000'000'000;
  struct timespec target = *until;
  if (clock != CLOCK_REALTIME) {
    struct timespec now{};
    struct timespec real{};
    clock_gettime(clock, &now);
    clock_gettime(CLOCK_REALTIME, &real);
    target.tv_sec = real.tv_sec + until->tv_sec - now.tv_sec;
    target.tv_nsec = real.tv_nsec + until->tv_nsec - now.tv_nsec;
    for (; target.tv_nsec < 0; target.tv_nsec += kSecond) --target.tv_sec;
    for (; target.tv_nsec >= kSecond; target.tv_nsec -= kSecond) ++target.tv_sec;
  }
  return pthread_cond_timedwait(condition, mutex, &target);
}

// Of glibc 2.12 on x64, but known to the linker as 2.34's only. Threads name themselves here.
int pthread_setname_np(pthread_t thread, const char* name) {
  return pthread_equal(thread, pthread_self()) != 0 ? prctl(PR_SET_NAME, name) : ENOSYS;
}

// glibc 2.33: before, these were inline functions around other names. The kernel's structure is the library's on both
// architectures.
int stat(const char* path, struct stat* result) noexcept {
  return static_cast<int>(syscall(SYS_newfstatat, AT_FDCWD, path, result, 0));
}
int lstat(const char* path, struct stat* result) noexcept {
  return static_cast<int>(syscall(SYS_newfstatat, AT_FDCWD, path, result, AT_SYMLINK_NOFOLLOW));
}
int fstat(int descriptor, struct stat* result) noexcept {
  return static_cast<int>(syscall(SYS_fstat, descriptor, result));
}
int fstatat(int folder, const char* path, struct stat* result, int flags) noexcept {
  return static_cast<int>(syscall(SYS_newfstatat, folder, path, result, flags));
}
int stat64(const char* path, struct stat64* result) noexcept {
  return static_cast<int>(syscall(SYS_newfstatat, AT_FDCWD, path, result, 0));
}
int lstat64(const char* path, struct stat64* result) noexcept {
  return static_cast<int>(syscall(SYS_newfstatat, AT_FDCWD, path, result, AT_SYMLINK_NOFOLLOW));
}
int fstat64(int descriptor, struct stat64* result) noexcept {
  return static_cast<int>(syscall(SYS_fstat, descriptor, result));
}
int fstatat64(int folder, const char* path, struct stat64* result, int flags) noexcept {
  return static_cast<int>(syscall(SYS_newfstatat, folder, path, result, flags));
}

}  // extern "C"

#endif
