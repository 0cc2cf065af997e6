// An addon that forks, as a library of somebody else's may: `forkAndEnd(execute)` makes a child that ends at once or, with `execute`, becomes
// another program that does. Returns the child's status, or -1 if it had to be killed after ten seconds. Exit handlers do not run in the child:
// Node's own would wait for threads that a fork does not copy.

#include <node_api.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static napi_value fork_and_end(napi_env env, napi_callback_info info) {
  napi_value argument;
  size_t count = 1;
  bool execute = false;
  napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
  napi_get_value_bool(env, argument, &execute);
  const pid_t child = fork();
  if (child == 0) {
    if (execute) execl("/bin/sh", "sh", "-c", "exit 5", (char*)NULL);
    _exit(5);
  }
  int status = 0;
  int result = -1;
  for (int i = 0; i < 1000; ++i) {
    if (waitpid(child, &status, WNOHANG) == child) {
      result = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
      break;
    }
    const struct timespec pause = {0, 10000000};
    nanosleep(&pause, NULL);
  }
  if (result == -1) {
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
  }
  napi_value value;
  napi_create_int32(env, result, &value);
  return value;
}

NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "forkAndEnd", NAPI_AUTO_LENGTH, fork_and_end, NULL, &function);
  napi_set_named_property(env, exports, "forkAndEnd", function);
  return exports;
}
