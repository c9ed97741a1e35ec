/* The yardstick of the lookup and crawl engines: one fixed question, sent as fast as it is answered, nothing parsed.
 *
 *   bare_client ROWS find_node|get_peers WINDOW SECONDS
 *
 * ROWS is what crawl_engine wrote of the same network: the questions go to its nodes in turn, as scattered as an
 * engine's, since the kernel sends to many addresses slower than to one. One JSON line.
 */
#include "rows.h"
#include "udp.h"
#include <poll.h>

enum { DRAINS = 8 };

static batch in, out;
static struct sockaddr_in *nodes;
static uint32_t node_count, next_node;

static void load_nodes(const char *path)
{
    FILE *file = fopen(path, "rb");
    row r;
    if (!file)
        die(path);
    fseek(file, 0, SEEK_END);
    nodes = calloc((size_t)ftell(file) / sizeof r + 1, sizeof *nodes);
    rewind(file);
    for (; nodes && fread(&r, sizeof r, 1, file) == 1; node_count++) {
        nodes[node_count] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(r.port)};
        memcpy(&nodes[node_count].sin_addr, r.ip + 12, 4);
    }
    fclose(file);
    if (!node_count)
        die("no rows");
}

static void send_questions(int fd, const char *question, uint32_t size, int count)
{
    for (int i = 0; i < count; i++) {
        put_bytes(reserve(&out), question, size);
        commit(&out, size, &nodes[next_node], 0);
        next_node = next_node + 1 < node_count ? next_node + 1 : 0;
        if (out.count == BATCH)
            flush(fd, &out);
    }
    flush(fd, &out);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: %s ROWS find_node|get_peers WINDOW SECONDS\n", argv[0]);
        return 2;
    }
    static const char find[] = "d1:ad2:id20:bare client asks on 6:target20:a target of twenty b" "e1:q9:find_node2:roi1e1:t4:bare1:y1:qe";
    static const char get[] = "d1:ad2:id20:bare client asks on 9:info_hash20:a target of twenty b" "e1:q9:get_peers2:roi1e1:t4:bare1:y1:qe";
    bool is_get = !strcmp(argv[2], "get_peers");
    const char *question = is_get ? get : find;
    uint32_t size = is_get ? sizeof get - 1 : sizeof find - 1;
    load_nodes(argv[1]);
    int fd = open_socket((struct sockaddr_in){.sin_family = AF_INET}, false), window = atoi(argv[3]);
    prepare_batch(&in, false);
    prepare_batch(&out, false);
    uint64_t replies = 0, bytes = 0;
    int64_t start = now_ns(), end = start + (int64_t)(atof(argv[4]) * 1e9), last = start;
    struct timespec cpu;
    struct pollfd watched = {.fd = fd, .events = POLLIN};
    send_questions(fd, question, size, window);
    for (int64_t now = start; now < end; now = now_ns()) {
        poll(&watched, 1, 10);
        for (int drain = 0, count = BATCH; drain < DRAINS && count == BATCH; drain++) {
            count = receive_batch(fd, &in);
            for (int i = 0; i < count; i++)
                bytes += in.messages[i].msg_len;
            replies += (uint64_t)count;
            send_questions(fd, question, size, count);
            last = count ? now : last;
        }
        if (now - last > 1000000000) {
            fprintf(stderr, "the nodes of %s do not answer\n", argv[1]);
            return 1;
        }
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    printf("{\"rpcs\": %lu, \"bytes\": %.1f, \"wall_s\": %.6f, \"cpu_s\": %.6f}\n", replies,
           replies ? (double)bytes / (double)replies : 0, (double)(now_ns() - start) * 1e-9,
           (double)cpu.tv_sec + (double)cpu.tv_nsec * 1e-9);
    return 0;
}
