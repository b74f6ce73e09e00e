/* What a static C program does: files, directories, threads, a child. Prints the
 * same every time. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void *sum(void *argument) {
    long n = (long)argument, total = 0;
    for (long i = 0; i < 1000; i++) total += i * n;
    return (void *)total;
}

int main(void) {
    char text[64] = "";
    mkdir("c", 0755);
    FILE *file = fopen("c/text", "w");
    fputs("forty-two\n", file);
    fclose(file);
    file = fopen("c/text", "r");
    fgets(text, sizeof text, file);
    fclose(file);
    printf("read %s", text);
    DIR *folder = opendir("c");
    for (struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] != '.') printf("entry %s\n", entry->d_name);
    closedir(folder);
    printf("error %s\n", fopen("/nowhere", "r") ? "none" : strerror(errno));
    printf("status %d\n", access("/proc/self/status", R_OK));
    pthread_t threads[8];
    long total = 0;
    for (long n = 0; n < 8; n++) pthread_create(&threads[n], NULL, sum, (void *)n);
    for (int n = 0; n < 8; n++) {
        void *part;
        pthread_join(threads[n], &part);
        total += (long)part;
    }
    printf("sum %ld\n", total);
    fflush(stdout);
    int status, child = fork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", "echo child; exit 7", (char *)NULL);
        _exit(1);
    }
    waitpid(child, &status, 0);
    printf("child %d\n", WEXITSTATUS(status));
    unlink("c/text");
    return rmdir("c");
}
