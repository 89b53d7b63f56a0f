// SPDX-License-Identifier: Apache-2.0
// busy CALLS THREADS: each thread makes CALLS getppid calls, so that a tracer's count can be held against a known number.
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static long calls;

static void *run(void *unused)
{
	for (long i = 0; i < calls; i++)
		syscall(SYS_getppid);
	return unused;
}

int main(int argc, char **argv)
{
	int threads = argc > 2 ? atoi(argv[2]) : 1;
	pthread_t all[64];

	calls = argc > 1 ? atol(argv[1]) : 0;
	for (int i = 0; i < threads && i < 64; i++)
		pthread_create(&all[i], 0, run, 0);
	for (int i = 0; i < threads && i < 64; i++)
		pthread_join(all[i], 0);
	return 0;
}
