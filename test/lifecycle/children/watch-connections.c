// Preloaded into a child: writes a line for every attempt to reach the network to the file named by WATCH_FILE.
// Unix-domain sockets are none.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void note(const char* line) {
  const char* file = getenv("WATCH_FILE");
  const int descriptor = file == NULL ? -1 : open(file, O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (descriptor >= 0) {
    if (write(descriptor, line, strlen(line)) < 0) abort();
    close(descriptor);
  }
}

int connect(int descriptor, const struct sockaddr* address, socklen_t length) {
  if (address != NULL && address->sa_family != AF_UNIX) note("connect\n");
  int (*next)(int, const struct sockaddr*, socklen_t) = dlsym(RTLD_NEXT, "connect");
  return next(descriptor, address, length);
}

int getaddrinfo(const char* node, const char* service, const struct addrinfo* hints, struct addrinfo** result) {
  note("getaddrinfo\n");
  int (*next)(const char*, const char*, const struct addrinfo*, struct addrinfo**) = dlsym(RTLD_NEXT, "getaddrinfo");
  return next(node, service, hints, result);
}

ssize_t sendto(int descriptor, const void* bytes, size_t count, int flags, const struct sockaddr* to, socklen_t length) {
  if (to != NULL && to->sa_family != AF_UNIX) note("sendto\n");
  ssize_t (*next)(int, const void*, size_t, int, const struct sockaddr*, socklen_t) = dlsym(RTLD_NEXT, "sendto");
  return next(descriptor, bytes, count, flags, to, length);
}
