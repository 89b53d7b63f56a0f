// SPDX-License-Identifier: Apache-2.0
// busy CALLS THREADS [PER_SECOND]: each thread makes CALLS getppid calls, PER_SECOND of them in a second or as fast as it can, so
// that a tracer's count can be held against a known number. All threads are there before the first call.
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PART 1000 /* calls between two looks at the clock, which is no system call */

static long calls, rate;
static pthread_barrier_t all_there;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void *run(void *unused)
{
	pthread_barrier_wait(&all_there);
	double start = now();
	for (long i = 0; i < calls; i++) {
		syscall(SYS_getppid);
		if (rate && i % PART == 0)
			while (now() - start < (double)i / rate)
				;
	}
	return unused;
}

int main(int argc, char **argv)
{
	int threads = argc > 2 ? atoi(argv[2]) : 1;
	pthread_t *all = calloc(threads, sizeof(*all));
	pthread_attr_t small;

	calls = argc > 1 ? atol(argv[1]) : 0;
	rate = argc > 3 ? atol(argv[3]) : 0;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 64 * 1024);
	pthread_barrier_init(&all_there, 0, threads);
	for (int i = 0; i < threads; i++)
		if (pthread_create(&all[i], &small, run, 0))
			return 1;
	for (int i = 0; i < threads; i++)
		pthread_join(all[i], 0);
	return 0;
}
