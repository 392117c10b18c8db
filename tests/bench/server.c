/* An OSS, and S3, that is not the bottleneck: what the contestants of the benchmark talk to.
 *
 *     server [--rate BYTES_PER_SECOND] [--shared BYTES_PER_SECOND] [--delay MILLISECONDS] [--certificate PEM --key PEM]
 *
 * Prints its port on loopback. One thread for each connection. The body of a PUT is received into one small buffer,
 * its CRC-64 is computed, and it is dropped: keeping it would measure the memory of the machine. A GET is sent by
 * sendfile from a file that the harness registered. Signatures are not checked.
 *
 * --rate and --delay make a link: each connection moves at most that many bytes a second, and a round trip (the
 * handshake, and each request) takes that long.
 *
 * The harness uses /_bench/...: see serve_harness.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>

#include "crc64.h"
#include "stream.h"

enum { BUFFER = 256 * 1024, MAX_PARTS = 10000, CHAINS = 4096, SHAPED_STEP = 32 * 1024 };

typedef struct Object {
    char path[256];
    char file[1024]; /* empty: uploaded, its bytes are dropped */
    uint64_t size, crc;
    struct Object *next;
} Object;

typedef struct Upload {
    unsigned id;
    char path[256];
    struct {
        uint64_t size, crc;
        int is_there;
    } part[MAX_PARTS + 1];
    struct Upload *next;
} Upload;

enum {
    PUT_OBJECT, UPLOAD_PART, GET_OBJECT, HEAD_OBJECT, INITIATE, COMPLETE, LIST_PARTS, ABORT, APPEND, DELETE, LIST, OTHER,
    OPERATIONS
};
static const char *operation_names[] = {
    "PutObject", "UploadPart", "GetObject", "HeadObject", "InitiateMultipartUpload", "CompleteMultipartUpload",
    "ListParts", "AbortMultipartUpload", "AppendObject", "DeleteObject", "ListObjects", "Other"};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below */
static Object *objects[CHAINS];
static Upload *uploads;
static unsigned last_id;
static unsigned long long requests[OPERATIONS], refused, moved, limit; /* bytes; 0 is no limit */
static int connections, most_connections;

static double rate;   /* bytes a second for each connection; 0 is no limit */
static double shared; /* for all of them together */
static double delay; /* seconds of a round trip */

typedef struct {
    Stream stream;
    Head head;
    char method[16], path[2048], *query; /* the path without the query */
    uint64_t body_left; /* of the request's body, not read yet */
    double ready;       /* when the link has moved what was asked of it so far */
    char *buffer;
} Connection;

/* --- the link ----------------------------------------------------------------------------------------------------- */

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void wait_for(double seconds) {
    if (seconds <= 0) return;
    struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&time, &time) && errno == EINTR) {}
}

static void round_trip(void) { wait_for(delay); }

static int is_link(void) { return rate > 0 || shared > 0; }

/* When the bytes will have passed, at that rate; what a late wake-up lost is caught up, up to 10 ms of it. */
static double passed(double *ready, double time, size_t size, double bytes_a_second) {
    if (*ready < time - 0.01) *ready = time - 0.01;
    return *ready += (double)size / bytes_a_second;
}

/* Waits until the link has moved that many bytes more. */
static void pace(Connection *connection, size_t size) {
    static pthread_mutex_t link = PTHREAD_MUTEX_INITIALIZER;
    static double all_ready;
    double time = now(), ready = time;
    if (rate > 0) ready = passed(&connection->ready, time, size, rate);
    if (shared > 0) {
        pthread_mutex_lock(&link);
        double all = passed(&all_ready, time, size, shared);
        pthread_mutex_unlock(&link);
        if (all > ready) ready = all;
    }
    wait_for(ready - time);
}

/* As little at once as passes in 20 ms where all share the link, so that it is shared evenly. */
static size_t step(void) {
    if (!is_link()) return BUFFER;
    double most = shared > 0 ? shared / 50 : SHAPED_STEP;
    return most > SHAPED_STEP ? SHAPED_STEP : most < 1024 ? 1024 : (size_t)most;
}

/* --- bodies ------------------------------------------------------------------------------------------------------- */

/* The next bytes of the request's body, in *from; 0 at its end, -1 when the client is gone. */
static ssize_t body_read(Connection *connection, const char **from) {
    Head *head = &connection->head;
    if (!connection->body_left) return 0;
    size_t ahead = head->filled - head->head; /* came along with the head */
    ssize_t got;
    if (ahead) {
        got = (ssize_t)(ahead < connection->body_left ? ahead : connection->body_left);
        *from = head->text + head->head;
        head->head += (size_t)got;
    } else {
        size_t most = connection->body_left < step() ? connection->body_left : step();
        got = stream_read(&connection->stream, connection->buffer, most);
        *from = connection->buffer;
        if (got <= 0) return -1;
    }
    connection->body_left -= (uint64_t)got;
    pace(connection, (size_t)got);
    return got;
}

/* Receives the body and drops it; -1 when the client is gone. */
static int body_drop(Connection *connection, uint64_t *size, uint64_t *crc) {
    const char *from;
    ssize_t got;
    *size = *crc = 0;
    while ((got = body_read(connection, &from)) > 0) {
        *crc = crc64(from, (size_t)got, *crc);
        *size += (uint64_t)got;
    }
    return (int)got;
}

static char *body_text(Connection *connection) {
    char *text = malloc(connection->body_left + 1);
    size_t filled = 0;
    const char *from;
    ssize_t got;
    while ((got = body_read(connection, &from)) > 0) {
        memcpy(text + filled, from, (size_t)got);
        filled += (size_t)got;
    }
    text[filled] = 0;
    return text;
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

typedef struct {
    char *text;
    size_t size, room;
} Text;

static void add(Text *text, const char *format, ...) {
    for (;;) {
        va_list values;
        va_start(values, format);
        size_t free_room = text->room - text->size;
        int size = vsnprintf(text->text + text->size, free_room, format, values);
        va_end(values);
        if ((size_t)size < free_room) {
            text->size += (size_t)size;
            return;
        }
        text->room = 2 * text->room + (size_t)size + 1024;
        text->text = realloc(text->text, text->room);
    }
}

static void add_head(Text *text, const char *status, uint64_t length) {
    char date[64];
    time_t time_now = time(NULL);
    struct tm utc;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&time_now, &utc));
    add(text,
        "HTTP/1.1 %s\r\nServer: AliyunOSS\r\nDate: %s\r\nContent-Length: %llu\r\nx-oss-request-id: 000000000000000000000001\r\n",
        status, date, (unsigned long long)length);
}

static int send_text(Connection *connection, Text *text) {
    int sent = stream_write(&connection->stream, text->text, text->size);
    free(text->text);
    return sent;
}

static int answer(Connection *connection, const char *status, const char *headers, const char *body) {
    Text text = {0};
    add_head(&text, status, strlen(body));
    add(&text, "Content-Type: application/xml\r\n%s\r\n%s", headers, strcmp(connection->method, "HEAD") ? body : "");
    round_trip();
    return send_text(connection, &text);
}

static int answer_error(Connection *connection, const char *status, const char *code) {
    uint64_t size, crc;
    char body[512];
    if (body_drop(connection, &size, &crc) < 0) return -1;
    snprintf(body, sizeof body,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>%s</Code><Message>%s</Message>"
        "<RequestId>000000000000000000000001</RequestId><HostId>bench</HostId></Error>",
        code, code);
    return answer(connection, status, "", body);
}

static void add_stored(Text *text, uint64_t crc) { /* the ETag is the CRC-64, twice: as long as an MD5 */
    add(text, "ETag: \"%016llX%016llX\"\r\nx-oss-hash-crc64ecma: %llu\r\n", (unsigned long long)crc,
        (unsigned long long)crc, (unsigned long long)crc);
}

static int answer_stored(Connection *connection, uint64_t crc) {
    Text headers = {0};
    add_stored(&headers, crc);
    int sent = answer(connection, "200 OK", headers.text, "");
    free(headers.text);
    return sent;
}

/* --- what is stored ----------------------------------------------------------------------------------------------- */

static Object **chain_of(const char *path) {
    unsigned hash = 5381;
    for (const char *next = path; *next; next++) hash = hash * 33 + (unsigned char)*next;
    return &objects[hash % CHAINS];
}

static int find_object(const char *path, Object *found) {
    pthread_mutex_lock(&lock);
    Object *object = *chain_of(path);
    while (object && strcmp(object->path, path)) object = object->next;
    if (object) *found = *object;
    pthread_mutex_unlock(&lock);
    return object != NULL;
}

static void store_object(const char *path, const char *file, uint64_t size, uint64_t crc) {
    pthread_mutex_lock(&lock);
    Object **chain = chain_of(path), *object = *chain;
    while (object && strcmp(object->path, path)) object = object->next;
    if (!object) {
        object = calloc(1, sizeof *object);
        snprintf(object->path, sizeof object->path, "%s", path);
        object->next = *chain;
        *chain = object;
    }
    snprintf(object->file, sizeof object->file, "%s", file);
    object->size = size;
    object->crc = crc;
    pthread_mutex_unlock(&lock);
}

static void forget_object(const char *path) {
    pthread_mutex_lock(&lock);
    for (Object **object = chain_of(path); *object; object = &(*object)->next)
        if (!strcmp((*object)->path, path)) {
            *object = (*object)->next; /* not freed, as somebody may read it */
            break;
        }
    pthread_mutex_unlock(&lock);
}

/* The query's value of a name, "" when it has none, NULL when the name is absent. */
static const char *query_value(const Connection *connection, const char *name, char into[64]) {
    size_t size = strlen(name);
    for (const char *pair = connection->query; pair && *pair; pair = strchr(pair, '&') ? strchr(pair, '&') + 1 : NULL)
        if (!strncmp(pair, name, size) && strchr("=&", pair[size])) {
            snprintf(into, 64, "%s", pair[size] == '=' ? pair + size + 1 : "");
            into[strcspn(into, "&")] = 0;
            return into;
        }
    return NULL;
}

static Upload *find_upload(const Connection *connection) {
    char value[64];
    unsigned id = query_value(connection, "uploadId", value) ? (unsigned)strtoul(value, NULL, 16) : 0;
    pthread_mutex_lock(&lock);
    Upload *upload = uploads;
    while (upload && (upload->id != id || strcmp(upload->path, connection->path))) upload = upload->next;
    pthread_mutex_unlock(&lock);
    return upload; /* never freed before the next reset, when nobody is connected */
}

static void end_upload(Upload *ended) {
    pthread_mutex_lock(&lock);
    for (Upload **upload = &uploads; *upload; upload = &(*upload)->next)
        if (*upload == ended) {
            *upload = ended->next;
            break;
        }
    pthread_mutex_unlock(&lock);
}

/* --- operations --------------------------------------------------------------------------------------------------- */

static void count(int operation) {
    pthread_mutex_lock(&lock);
    requests[operation]++;
    pthread_mutex_unlock(&lock);
}

/* Counts bytes that are about to move; 0 when the harness wants no more of them. */
static int may_move(uint64_t size) {
    pthread_mutex_lock(&lock);
    int may = !limit || moved + size <= limit;
    if (may)
        moved += size;
    else
        refused++;
    pthread_mutex_unlock(&lock);
    return may;
}

static int put_object(Connection *connection) {
    uint64_t size, crc;
    if (!may_move(connection->body_left)) return answer_error(connection, "403 Forbidden", "AccessDenied");
    if (body_drop(connection, &size, &crc) < 0) return -1;
    store_object(connection->path, "", size, crc);
    return answer_stored(connection, crc);
}

static int upload_part(Connection *connection, unsigned long number) {
    uint64_t size, crc;
    Upload *upload = find_upload(connection);
    if (!upload) return answer_error(connection, "404 Not Found", "NoSuchUpload");
    if (number < 1 || number > MAX_PARTS) return answer_error(connection, "400 Bad Request", "InvalidArgument");
    if (!may_move(connection->body_left)) return answer_error(connection, "403 Forbidden", "AccessDenied");
    if (body_drop(connection, &size, &crc) < 0) return -1;
    pthread_mutex_lock(&lock);
    upload->part[number].size = size;
    upload->part[number].crc = crc;
    upload->part[number].is_there = 1;
    pthread_mutex_unlock(&lock);
    return answer_stored(connection, crc);
}

static int initiate(Connection *connection) {
    uint64_t size, crc;
    char body[1024];
    if (body_drop(connection, &size, &crc) < 0) return -1;
    Upload *upload = calloc(1, sizeof *upload);
    snprintf(upload->path, sizeof upload->path, "%s", connection->path);
    pthread_mutex_lock(&lock);
    upload->id = ++last_id;
    upload->next = uploads;
    uploads = upload;
    pthread_mutex_unlock(&lock);
    snprintf(body, sizeof body,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><InitiateMultipartUploadResult><Bucket>bench</Bucket><Key>%s</Key>"
        "<UploadId>%032x</UploadId></InitiateMultipartUploadResult>",
        strrchr(upload->path, '/') + 1, upload->id);
    return answer(connection, "200 OK", "", body);
}

static int complete(Connection *connection) {
    Upload *upload = find_upload(connection);
    if (!upload) return answer_error(connection, "404 Not Found", "NoSuchUpload");
    char *said = body_text(connection);
    uint64_t size = 0, crc = 0;
    int named = 0, listed = 0;
    for (char *part = said; (part = strstr(part, "<PartNumber>")); part++) named++;
    for (int number = 1; number <= MAX_PARTS; number++)
        if (upload->part[number].is_there) {
            listed++;
            size += upload->part[number].size;
            crc = crc64_combine(crc, upload->part[number].crc, upload->part[number].size);
        }
    free(said);
    if (named != listed) return answer_error(connection, "400 Bad Request", "InvalidPart");
    store_object(connection->path, "", size, crc);
    end_upload(upload);
    Text headers = {0};
    char body[1024];
    add_stored(&headers, crc);
    snprintf(body, sizeof body,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><CompleteMultipartUploadResult><Location>http://bench%s</Location>"
        "<Bucket>bench</Bucket><Key>%s</Key><ETag>\"%016llX%016llX\"</ETag></CompleteMultipartUploadResult>",
        connection->path, strrchr(connection->path, '/') + 1, (unsigned long long)crc, (unsigned long long)crc);
    int sent = answer(connection, "200 OK", headers.text, body);
    free(headers.text);
    return sent;
}

static int list_parts(Connection *connection) {
    char value[64];
    Upload *upload = find_upload(connection);
    if (!upload) return answer_error(connection, "404 Not Found", "NoSuchUpload");
    int after = query_value(connection, "part-number-marker", value) ? atoi(value) : 0;
    int most = query_value(connection, "max-parts", value) && atoi(value) > 0 ? atoi(value) : 1000;
    int listed = 0, last = 0, is_truncated = 0;
    Text body = {0};
    add(&body, "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListPartsResult><Bucket>bench</Bucket><Key>%s</Key>"
        "<UploadId>%032x</UploadId>", strrchr(upload->path, '/') + 1, upload->id);
    for (int number = after + 1; number <= MAX_PARTS && !is_truncated; number++) {
        if (!upload->part[number].is_there) continue;
        if (listed == most) {
            is_truncated = 1;
            break;
        }
        unsigned long long crc = upload->part[number].crc;
        add(&body,
            "<Part><PartNumber>%d</PartNumber><LastModified>2026-11-25T00:00:00.000Z</LastModified>"
            "<ETag>\"%016llX%016llX\"</ETag><Size>%llu</Size><HashCrc64ecma>%llu</HashCrc64ecma></Part>",
            number, crc, crc, (unsigned long long)upload->part[number].size, crc);
        listed++;
        last = number;
    }
    add(&body,
        "<PartNumberMarker>%d</PartNumberMarker><NextPartNumberMarker>%d</NextPartNumberMarker>"
        "<MaxParts>%d</MaxParts><IsTruncated>%s</IsTruncated></ListPartsResult>",
        after, last, most, is_truncated ? "true" : "false");
    int sent = answer(connection, "200 OK", "", body.text);
    free(body.text);
    return sent;
}

static int send_file(Connection *connection, const char *name, uint64_t start, uint64_t stop) {
    int file = open(name, O_RDONLY);
    if (file < 0) return -1;
    int sent = 0;
    off_t offset = (off_t)start;
    while (!sent && (uint64_t)offset < stop) {
        size_t most = stop - (uint64_t)offset;
        if (most > (is_link() ? step() : 1 << 20)) most = is_link() ? step() : 1 << 20;
        if (connection->stream.tls) {
            if (most > BUFFER) most = BUFFER;
            ssize_t got = pread(file, connection->buffer, most, offset);
            if (got <= 0 || stream_write(&connection->stream, connection->buffer, (size_t)got)) sent = -1;
            else offset += got;
            most = (size_t)(got > 0 ? got : 0);
        } else {
            ssize_t got = sendfile(connection->stream.fd, file, &offset, most);
            if (got < 0 && errno == EINTR) continue;
            if (got <= 0) sent = -1;
            most = (size_t)(got > 0 ? got : 0);
        }
        pace(connection, most);
    }
    close(file);
    return sent;
}

static int get_object(Connection *connection) {
    Object object;
    int is_head = !strcmp(connection->method, "HEAD");
    if (!find_object(connection->path, &object)) return answer_error(connection, "404 Not Found", "NoSuchKey");
    char etag[40];
    snprintf(etag, sizeof etag, "%016llX%016llX", (unsigned long long)object.crc, (unsigned long long)object.crc);
    const char *if_match = head_value(&connection->head, "If-Match");
    if (if_match && strncasecmp(if_match + (*if_match == '"'), etag, 32))
        return answer_error(connection, "412 Precondition Failed", "PreconditionFailed");
    uint64_t start = 0, stop = object.size;
    const char *range = head_value(&connection->head, "Range");
    if (range) {
        unsigned long long first = 0, last = object.size - 1;
        if (sscanf(range, "bytes=%llu-%llu", &first, &last) < 1 || first >= object.size)
            return answer_error(connection, "416 Requested Range Not Satisfiable", "InvalidRange");
        start = first;
        stop = last < object.size ? last + 1 : object.size;
    }
    if (!is_head && !may_move(stop - start)) return answer_error(connection, "403 Forbidden", "AccessDenied");
    Text text = {0};
    add_head(&text, range ? "206 Partial Content" : "200 OK", stop - start);
    add_stored(&text, object.crc);
    if (range)
        add(&text, "Content-Range: bytes %llu-%llu/%llu\r\n", (unsigned long long)start, (unsigned long long)stop - 1,
            (unsigned long long)object.size);
    add(&text, "Accept-Ranges: bytes\r\nLast-Modified: Wed, 25 Nov 2026 00:00:00 GMT\r\nx-oss-object-type: Normal\r\n"
        "Content-Type: application/octet-stream\r\n\r\n");
    round_trip();
    if (send_text(connection, &text)) return -1;
    return is_head ? 0 : send_file(connection, object.file, start, stop);
}

/* What ossfs writes by: each block is added to what is there. */
static int append_object(Connection *connection) {
    uint64_t size, crc;
    char headers[256];
    Object object = {0};
    if (!may_move(connection->body_left)) return answer_error(connection, "403 Forbidden", "AccessDenied");
    find_object(connection->path, &object);
    if (body_drop(connection, &size, &crc) < 0) return -1;
    crc = crc64_combine(object.crc, crc, size);
    size += object.size;
    store_object(connection->path, "", size, crc);
    snprintf(headers, sizeof headers, "x-oss-next-append-position: %llu\r\nx-oss-hash-crc64ecma: %llu\r\n",
        (unsigned long long)size, (unsigned long long)crc);
    return answer(connection, "200 OK", headers, "");
}

static int delete_object(Connection *connection) {
    forget_object(connection->path);
    return answer(connection, "204 No Content", "", "");
}

/* What ossfs asks before it writes. */
static int bucket_info(Connection *connection) {
    return answer(connection, "200 OK", "",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><BucketInfo><Bucket><Name>bench</Name><Location>oss-cn-hangzhou</Location>"
        "<CreationDate>2026-11-25T00:00:00.000Z</CreationDate><StorageClass>Standard</StorageClass>"
        "<ExtranetEndpoint>bench</ExtranetEndpoint><IntranetEndpoint>bench</IntranetEndpoint>"
        "<Owner><ID>1</ID><DisplayName>1</DisplayName></Owner><AccessControlList><Grant>private</Grant>"
        "</AccessControlList></Bucket></BucketInfo>");
}

/* All objects in one page, for either version of the operation; filesystems ask for it before they open a file. */
static int list_objects(Connection *connection) {
    char value[64];
    const char *prefix = query_value(connection, "prefix", value) ? value : "";
    size_t bucket = 1 + strcspn(connection->path + 1, "/");
    Text body = {0};
    add(&body, "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><Name>bench</Name><Prefix>%s</Prefix>"
        "<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>", prefix);
    pthread_mutex_lock(&lock);
    int keys = 0;
    for (int chain = 0; chain < CHAINS; chain++)
        for (Object *object = objects[chain]; object; object = object->next) {
            const char *key = object->path + bucket + 1;
            if (strncmp(object->path, connection->path, bucket) || strncmp(key, prefix, strlen(prefix))) continue;
            keys++;
            add(&body, "<Contents><Key>%s</Key><LastModified>2026-11-25T00:00:00.000Z</LastModified>"
                "<ETag>\"%016llX%016llX\"</ETag><Type>Normal</Type><Size>%llu</Size><StorageClass>Standard</StorageClass>"
                "</Contents>", key, (unsigned long long)object->crc, (unsigned long long)object->crc,
                (unsigned long long)object->size);
        }
    pthread_mutex_unlock(&lock);
    add(&body, "<KeyCount>%d</KeyCount></ListBucketResult>", keys);
    int sent = answer(connection, "200 OK", "", body.text);
    free(body.text);
    return sent;
}

/* --- the harness -------------------------------------------------------------------------------------------------- */

static int register_file(const char *path, const char *name) {
    char *buffer = malloc(1 << 20);
    uint64_t size = 0, crc = 0;
    ssize_t got;
    int file = open(name, O_RDONLY);
    if (file < 0) return -1;
    while ((got = read(file, buffer, 1 << 20)) > 0) {
        crc = crc64(buffer, (size_t)got, crc);
        size += (uint64_t)got;
    }
    close(file);
    free(buffer);
    store_object(path, name, size, crc);
    return 0;
}

/* POST /_bench/serve   x-bench-path, x-bench-file: serve the file as that object
 * POST /_bench/reset   x-bench-limit: forget uploads and counts; refuse what would move more bytes than that
 * GET  /_bench/stats   counts, and the CPU seconds of this server, as JSON */
static int serve_harness(Connection *connection) {
    uint64_t size, crc;
    if (body_drop(connection, &size, &crc) < 0) return -1;
    if (!strcmp(connection->path, "/_bench/serve")) {
        char path[256], file[1024];
        snprintf(path, sizeof path, "%s", head_value(&connection->head, "x-bench-path"));
        snprintf(file, sizeof file, "%s", head_value(&connection->head, "x-bench-file"));
        path[strcspn(path, "\r")] = file[strcspn(file, "\r")] = 0;
        if (register_file(path, file)) return answer_error(connection, "404 Not Found", "NoSuchFile");
    } else if (!strcmp(connection->path, "/_bench/reset")) {
        pthread_mutex_lock(&lock);
        if (!head_value(&connection->head, "x-bench-keep-uploads")) uploads = NULL;
        memset(requests, 0, sizeof requests);
        refused = moved = 0;
        most_connections = 0;
        limit = head_number(&connection->head, "x-bench-limit");
        pthread_mutex_unlock(&lock);
    }
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    Text body = {0};
    pthread_mutex_lock(&lock);
    add(&body, "{\"cpu\": %.6f, \"moved\": %llu, \"refused\": %llu, \"connections\": %d, \"requests\": {",
        (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
            (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6,
        moved, refused, most_connections);
    for (int operation = 0; operation < OPERATIONS; operation++)
        add(&body, "%s\"%s\": %llu", operation ? ", " : "", operation_names[operation], requests[operation]);
    pthread_mutex_unlock(&lock);
    add(&body, "}}");
    int sent = answer(connection, "200 OK", "", body.text);
    free(body.text);
    return sent;
}

/* --- connections -------------------------------------------------------------------------------------------------- */

static int route(Connection *connection) {
    char value[64], number[64];
    const char *method = connection->method;
    int has_id = query_value(connection, "uploadId", value) != NULL;
    if (!strncmp(connection->path, "/_bench/", 8)) return serve_harness(connection);
    if (!strcmp(method, "PUT") && query_value(connection, "partNumber", number))
        return count(UPLOAD_PART), upload_part(connection, strtoul(number, NULL, 10));
    if (!strcmp(method, "PUT")) return count(PUT_OBJECT), put_object(connection);
    if (!strcmp(method, "GET") && has_id) return count(LIST_PARTS), list_parts(connection);
    const char *key = strchr(connection->path + 1, '/');
    if (!strcmp(method, "GET") && query_value(connection, "bucketInfo", value))
        return count(OTHER), bucket_info(connection);
    if (!strcmp(method, "GET") && !(key && key[1])) return count(LIST), list_objects(connection);
    if (!strcmp(method, "GET")) return count(GET_OBJECT), get_object(connection);
    if (!strcmp(method, "HEAD")) return count(HEAD_OBJECT), get_object(connection);
    if (!strcmp(method, "POST") && query_value(connection, "uploads", value))
        return count(INITIATE), initiate(connection);
    if (!strcmp(method, "POST") && has_id) return count(COMPLETE), complete(connection);
    if (!strcmp(method, "DELETE") && has_id) {
        count(ABORT);
        return answer(connection, "204 No Content", "", "");
    }
    if (!strcmp(method, "POST") && query_value(connection, "append", value))
        return count(APPEND), append_object(connection);
    if (!strcmp(method, "DELETE")) return count(DELETE), delete_object(connection);
    count(OTHER);
    return answer_error(connection, "501 Not Implemented", "NotImplemented");
}

/* 0, or -1 when the connection is over. */
static int serve_request(Connection *connection) {
    Head *head = &connection->head;
    if (head_read(&connection->stream, head)) return -1;
    if (sscanf(head->text, "%15s %2047s", connection->method, connection->path) != 2) return -1;
    connection->query = strchr(connection->path, '?');
    if (connection->query) *connection->query++ = 0;
    if (strlen(connection->path) >= sizeof((Object *)0)->path) return -1;
    connection->body_left = head_number(head, "Content-Length");
    if (head_value(head, "Transfer-Encoding")) {
        answer_error(connection, "411 Length Required", "MissingContentLength");
        return -1;
    }
    if (head_value(head, "Expect")) {
        round_trip();
        if (stream_write(&connection->stream, "HTTP/1.1 100 Continue\r\n\r\n", 25)) return -1;
    }
    if (route(connection)) return -1;
    head->filled -= head->head; /* what the client sent ahead of its time */
    memmove(head->text, head->text + head->head, head->filled);
    return 0;
}

#ifndef WITHOUT_TLS
static SSL_CTX *context;

static int begin_tls(Stream *stream) {
    if (!context) return 0;
    stream->tls = SSL_new(context);
    SSL_set_fd(stream->tls, stream->fd);
    return SSL_accept(stream->tls) == 1 ? 0 : -1;
}
#else
static int begin_tls(Stream *stream) { return (void)stream, 0; }
#endif

static void *serve(void *given) {
    Connection *connection = given;
    pthread_mutex_lock(&lock);
    if (++connections > most_connections) most_connections = connections;
    pthread_mutex_unlock(&lock);
    round_trip(); /* of the handshake */
    if (!begin_tls(&connection->stream))
        while (!serve_request(connection)) {}
    pthread_mutex_lock(&lock);
    connections--;
    pthread_mutex_unlock(&lock);
    stream_close(&connection->stream);
    free(connection->buffer);
    free(connection);
    return NULL;
}

static int listen_on_loopback(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0), room = shared > 0 ? 16 * 1024 : 128 * 1024;
    /* A link holds little: what the kernel would take in ahead of the pace would count as sent. */
    if (is_link() && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room)) fail("SO_RCVBUF");
    if (is_link() && setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room)) fail("SO_SNDBUF");
    /* And its packets are small, so that the client's socket takes in no more than over a real one. */
    int packet = 1460;
    if (shared > 0 && setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &packet, sizeof packet)) fail("TCP_MAXSEG");
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) || listen(fd, 512)) fail("listen");
    if (getsockname(fd, (struct sockaddr *)&address, &size)) fail("getsockname");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int count_of_options, char **options) {
    const char *certificate = NULL, *key = NULL;
    for (int i = 1; i + 1 < count_of_options; i += 2) {
        if (!strcmp(options[i], "--rate")) rate = atof(options[i + 1]);
        if (!strcmp(options[i], "--shared")) shared = atof(options[i + 1]);
        if (!strcmp(options[i], "--delay")) delay = atof(options[i + 1]) / 1000;
        if (!strcmp(options[i], "--certificate")) certificate = options[i + 1];
        if (!strcmp(options[i], "--key")) key = options[i + 1];
    }
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* ends with the harness, however that ends */
    crc64_start();
#ifndef WITHOUT_TLS
    if (certificate) {
        context = SSL_CTX_new(TLS_server_method());
        SSL_CTX_set_mode(context, SSL_MODE_AUTO_RETRY);
        if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
            SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
            fail("certificate");
    }
#else
    if (certificate || key) fail("built without TLS");
#endif
    int listening = listen_on_loopback(), on = 1;
    for (;;) {
        int fd = accept(listening, NULL, NULL);
        if (fd < 0) continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        Connection *connection = calloc(1, sizeof *connection);
        connection->stream.fd = fd;
        connection->buffer = malloc(BUFFER);
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, connection)) fail("thread");
        pthread_detach(thread);
    }
}
