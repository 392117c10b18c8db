/* The limit: what moving and checking these bytes costs without any library between them and the kernel.
 *
 *     raw_client upload|download PORT PATH FILE PART_SIZE THREADS [CA]
 *
 * Each thread has a connection and a buffer of 256 KiB: preadv, CRC-64, send; or recv, CRC-64, pwrite. Parts are
 * checked against the server's CRC-64, and so is the whole. Nothing is signed, retried or kept for a later try. Prints
 * wall, cpu and peak as the other contestants do. A CA, as a file, means TLS.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#include "crc64.h"
#include "stream.h"

enum { BUFFER = 256 * 1024 };

static const char *path, *authority;
static int port, file, is_upload;
static uint64_t file_size, part_size;
static unsigned long parts, next_part;
static uint64_t part_crcs[10001];
static char upload_id[64], etag[64];

static Stream connect_to_server(void) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    Stream stream = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
    int on = 1;
    if (connect(stream.fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
    setsockopt(stream.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
#ifndef WITHOUT_TLS
    static SSL_CTX *context;
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
    if (!authority) return stream;
    pthread_mutex_lock(&once);
    if (!context) {
        context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_mode(context, SSL_MODE_AUTO_RETRY);
        if (SSL_CTX_load_verify_locations(context, authority, NULL) != 1) fail("CA");
    }
    pthread_mutex_unlock(&once);
    stream.tls = SSL_new(context);
    SSL_set_fd(stream.tls, stream.fd);
    if (SSL_connect(stream.tls) != 1) fail("TLS handshake");
#endif
    return stream;
}

static void ask(Stream *stream, Head *head, const char *request, const char *body) {
    if (stream_write(stream, request, strlen(request)) || (body && stream_write(stream, body, strlen(body))))
        fail("send");
    head->filled = 0;
    if (head_read(stream, head)) fail("no answer");
    if (strncmp(head->text, "HTTP/1.1 20", 11)) {
        fprintf(stderr, "%s", head->text);
        exit(1);
    }
}

/* The answer's body as a text; it is short. */
static const char *body_of(Stream *stream, Head *head) {
    size_t size = head_number(head, "Content-Length");
    while (head->filled - head->head < size) {
        ssize_t got = stream_read(stream, head->text + head->filled, sizeof head->text - 1 - head->filled);
        if (got <= 0) fail("short answer");
        head->filled += (size_t)got;
    }
    head->text[head->filled] = 0;
    return head->text + head->head;
}

static uint64_t send_part(Stream *stream, Head *head, unsigned long number, char *buffer) {
    uint64_t start = (number - 1) * part_size, stop = start + part_size < file_size ? start + part_size : file_size;
    uint64_t crc = 0;
    char request[2048];
    int size = snprintf(request, sizeof request,
        "PUT %s?partNumber=%lu&uploadId=%s HTTP/1.1\r\nHost: bench\r\nContent-Length: %llu\r\n\r\n", path, number,
        upload_id, (unsigned long long)(stop - start));
    if (stream_write(stream, request, (size_t)size)) fail("send");
    while (start < stop) {
        struct iovec into = {buffer, stop - start < BUFFER ? stop - start : BUFFER};
        ssize_t got = preadv(file, &into, 1, (off_t)start);
        if (got <= 0) fail("read");
        crc = crc64(buffer, (size_t)got, crc);
        if (stream_write(stream, buffer, (size_t)got)) fail("send");
        start += (uint64_t)got;
    }
    ask(stream, head, "", NULL);
    if (head_number(head, "x-oss-hash-crc64ecma") != crc) fail("CRC-64 of a part");
    return crc;
}

static uint64_t fetch_part(Stream *stream, Head *head, unsigned long number, char *buffer) {
    uint64_t start = (number - 1) * part_size, stop = start + part_size < file_size ? start + part_size : file_size;
    uint64_t crc = 0;
    char request[2048];
    snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: bench\r\nRange: bytes=%llu-%llu\r\nIf-Match: %s\r\n\r\n", path,
        (unsigned long long)start, (unsigned long long)stop - 1, etag);
    ask(stream, head, request, NULL);
    const char *from = head->text + head->head;
    ssize_t got = (ssize_t)(head->filled - head->head);
    while (start < stop) {
        if (!got) {
            got = stream_read(stream, buffer, stop - start < BUFFER ? stop - start : BUFFER);
            from = buffer;
            if (got <= 0) fail("short answer");
        }
        crc = crc64(from, (size_t)got, crc);
        if (pwrite(file, from, (size_t)got, (off_t)start) != got) fail("write");
        start += (uint64_t)got;
        got = 0;
    }
    return crc;
}

static void *work(void *unused) {
    Stream stream = connect_to_server();
    Head *head = malloc(sizeof *head);
    char *buffer = malloc(BUFFER);
    for (unsigned long number; (number = __atomic_add_fetch(&next_part, 1, __ATOMIC_RELAXED)) <= parts;)
        part_crcs[number] = (is_upload ? send_part : fetch_part)(&stream, head, number, buffer);
    stream_close(&stream);
    free(buffer);
    free(head);
    return unused;
}

static void initiate(Stream *stream, Head *head) {
    char request[2048];
    snprintf(request, sizeof request, "POST %s?uploads HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n\r\n", path);
    ask(stream, head, request, NULL);
    if (sscanf(strstr(body_of(stream, head), "<UploadId>"), "<UploadId>%63[0-9a-f]", upload_id) != 1) fail("upload ID");
}

static void complete(Stream *stream, Head *head) {
    char request[2048], *body = malloc(128 * (parts + 1)), *end = body;
    for (unsigned long number = 1; number <= parts; number++)
        end += sprintf(end, "<Part><PartNumber>%lu</PartNumber><ETag>\"%016llX%016llX\"</ETag></Part>", number,
            (unsigned long long)part_crcs[number], (unsigned long long)part_crcs[number]);
    snprintf(request, sizeof request,
        "POST %s?uploadId=%s HTTP/1.1\r\nHost: bench\r\nContent-Length: %zu\r\n\r\n", path, upload_id,
        strlen(body) + strlen("<CompleteMultipartUpload></CompleteMultipartUpload>"));
    char *whole = malloc(strlen(body) + 128);
    sprintf(whole, "<CompleteMultipartUpload>%s</CompleteMultipartUpload>", body);
    ask(stream, head, request, whole);
    free(body);
    free(whole);
}

static void look(Stream *stream, Head *head) {
    char request[2048];
    snprintf(request, sizeof request, "HEAD %s HTTP/1.1\r\nHost: bench\r\n\r\n", path);
    ask(stream, head, request, NULL);
    file_size = head_number(head, "Content-Length");
    if (sscanf(head_value(head, "ETag"), "%63[\"0-9A-F]", etag) != 1) fail("ETag");
}

/* MiB; getrusage's would begin at the harness's own. */
static double peak_memory(void) {
    char line[256];
    double kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "VmHWM: %lf", &kib) == 1) break;
    if (status) fclose(status);
    return kib / 1024;
}

static double seconds(struct timeval time) { return (double)time.tv_sec + (double)time.tv_usec / 1e6; }

int main(int count, char **given) {
    if (count < 7) fail("usage: raw_client upload|download PORT PATH FILE PART_SIZE THREADS [CA]");
    is_upload = !strcmp(given[1], "upload");
    port = atoi(given[2]);
    path = given[3];
    part_size = strtoull(given[5], NULL, 10);
    int threads = atoi(given[6]);
    authority = count > 7 ? given[7] : NULL;
    signal(SIGPIPE, SIG_IGN);
    crc64_start();
    struct timespec began, ended;
    clock_gettime(CLOCK_MONOTONIC, &began);

    Stream stream = connect_to_server();
    Head *head = malloc(sizeof *head);
    struct stat found;
    file = open(given[4], is_upload ? O_RDONLY : O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || fstat(file, &found)) fail(given[4]);
    file_size = (uint64_t)found.st_size;
    if (is_upload)
        initiate(&stream, head);
    else
        look(&stream, head);
    uint64_t expected = head_number(head, "x-oss-hash-crc64ecma"), crc = 0;
    parts = (file_size + part_size - 1) / part_size;
    if (parts < 1 || parts > 10000) fail("number of parts");

    pthread_t workers[256];
    for (int i = 0; i < threads && i < 256; i++) pthread_create(&workers[i], NULL, work, NULL);
    for (int i = 0; i < threads && i < 256; i++) pthread_join(workers[i], NULL);

    for (unsigned long number = 1; number <= parts; number++)
        crc = crc64_combine(crc, part_crcs[number],
            number < parts ? part_size : file_size - (parts - 1) * part_size);
    if (is_upload) {
        complete(&stream, head);
        expected = head_number(head, "x-oss-hash-crc64ecma");
    }
    if (crc != expected) fail("CRC-64 of the whole");
    clock_gettime(CLOCK_MONOTONIC, &ended);

    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    printf("{\"wall\": %.6f, \"cpu\": %.6f, \"bare_mib\": 0, \"peak_mib\": %.3f}\n",
        (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9,
        seconds(used.ru_utime) + seconds(used.ru_stime), peak_memory());
    return 0;
}
