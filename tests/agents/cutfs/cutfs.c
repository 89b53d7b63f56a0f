// SPDX-License-Identifier: Apache-2.0
// A disk whose every write and flush is written down in order, so that a test can make any state a power cut may leave.
//
// usage: cutfs IMAGE LOG MOUNTPOINT    (stays in the foreground; unmount to end it)
//
// The mounted directory holds `disk`, whose content is IMAGE's, and `mark`: what is written there is put into the log
// between the writes, which is how a writer says what it was promised at that moment.
// The log: one byte W, F or M; u64 offset; u32 length; the bytes written (W, M). Little-endian, as the machine's.
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int image;
static FILE *record;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

static void note(char kind, uint64_t offset, const char *data, uint32_t length)
{
	pthread_mutex_lock(&order);
	fputc(kind, record);
	fwrite(&offset, sizeof offset, 1, record);
	fwrite(&length, sizeof length, 1, record);
	if (length)
		fwrite(data, length, 1, record);
	fflush(record);
	pthread_mutex_unlock(&order);
}

static int is_disk(const char *path)
{
	return strcmp(path, "/disk") == 0;
}

static int get_attributes(const char *path, struct stat *out, struct fuse_file_info *info)
{
	(void)info;
	memset(out, 0, sizeof *out);
	if (strcmp(path, "/") == 0) {
		out->st_mode = S_IFDIR | 0700;
		out->st_nlink = 2;
		return 0;
	}
	if (!is_disk(path) && strcmp(path, "/mark") != 0)
		return -ENOENT;
	out->st_mode = S_IFREG | 0600;
	out->st_nlink = 1;
	if (is_disk(path)) {
		struct stat facts;
		if (fstat(image, &facts))
			return -errno;
		out->st_size = facts.st_size;
	}
	return 0;
}

static int list(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *info,
		enum fuse_readdir_flags flags)
{
	(void)path, (void)offset, (void)info, (void)flags;
	fill(buffer, "disk", NULL, 0, 0);
	fill(buffer, "mark", NULL, 0, 0);
	return 0;
}

static int open_file(const char *path, struct fuse_file_info *info)
{
	info->direct_io = !is_disk(path);
	return 0;
}

static int truncate_file(const char *path, off_t length, struct fuse_file_info *info)
{
	(void)length, (void)info;
	return is_disk(path) ? -EPERM : 0;
}

static int read_file(const char *path, char *buffer, size_t size, off_t offset, struct fuse_file_info *info)
{
	(void)info;
	ssize_t got = is_disk(path) ? pread(image, buffer, size, offset) : 0;
	return got < 0 ? -errno : (int)got;
}

static int write_file(const char *path, const char *data, size_t size, off_t offset, struct fuse_file_info *info)
{
	(void)info;
	if (!is_disk(path)) {
		note('M', 0, data, (uint32_t)size);
		return (int)size;
	}
	note('W', (uint64_t)offset, data, (uint32_t)size);
	ssize_t put = pwrite(image, data, size, offset);
	return put < 0 ? -errno : (int)put;
}

static int sync_file(const char *path, int data_only, struct fuse_file_info *info)
{
	(void)data_only, (void)info;
	if (is_disk(path))
		note('F', 0, NULL, 0);
	return 0;
}

static const struct fuse_operations operations = {
	.getattr = get_attributes,
	.readdir = list,
	.open = open_file,
	.truncate = truncate_file,
	.read = read_file,
	.write = write_file,
	.fsync = sync_file,
};

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	image = open(argv[1], O_RDWR);
	record = fopen(argv[2], "wb");
	if (image < 0 || !record)
		return 1;
	char *words[] = {argv[0], "-f", "-o", "fsname=cutfs", argv[3], NULL};
	return fuse_main(5, words, &operations, NULL);
}
