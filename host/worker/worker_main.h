/* The worker process, as `shunt serve` starts it: role __worker. */
#ifndef HOST_WORKER_WORKER_MAIN_H
#define HOST_WORKER_WORKER_MAIN_H

/* argv[1] is the name of the configuration; its text, the channel and the listeners are inherited
 * descriptors (host/supervisor/proto.h). Returns the exit status. */
int worker_main(int argc, char **argv);

#endif
