// measured-run REPORT COMMAND [ARGUMENT...]: runs COMMAND and writes "status user sys peak_kib" to REPORT.
//
// A program of its own, because a child's ru_maxrss begins with the size of whoever started it: from here
// that is one MiB, from Python it would be many.
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static double seconds(struct timeval time) { return time.tv_sec + time.tv_usec * 1e-6; }

int main(int count, char **arguments) {
  if (count < 3) {
    fprintf(stderr, "usage: measured-run REPORT COMMAND [ARGUMENT...]\n");
    return 64;
  }
  pid_t child = fork();
  if (child == -1) {
    perror("fork");
    return 70;
  }
  if (child == 0) {
    execvp(arguments[2], arguments + 2);
    perror(arguments[2]);
    _exit(127);
  }
  int status = 0;
  struct rusage usage;
  if (wait4(child, &status, 0, &usage) != child) {
    perror("wait4");
    return 70;
  }
  int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  FILE *report = fopen(arguments[1], "w");
  if (!report ||
      fprintf(report, "%d %.6f %.6f %ld\n", code, seconds(usage.ru_utime), seconds(usage.ru_stime),
              usage.ru_maxrss) < 0 ||
      fclose(report) != 0) {
    perror(arguments[1]);
    return 70;
  }
  return code;
}
