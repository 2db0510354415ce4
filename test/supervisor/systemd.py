"""Stands in for systemd in tests: holds listening sockets, starts a program with them, and reads what it is told.

usage: systemd.py FOLDER SOCKETS WATCHDOG_USEC -- program [argument...]

It prints one JSON object a line: {"ports": [...]}, {"told": [...]}, {"ended": code}. It takes one word a line: "start", or the
number of a signal for the program. What the program prints goes to FOLDER/output.
"""

import json, os, selectors, socket, subprocess, sys

folder, count, watchdog, _, *program = sys.argv[1:]


def say(**what):
    print(json.dumps(what), flush=True)


held = []
for _ in range(int(count)):
    one = socket.socket()
    one.bind(("127.0.0.1", 0))
    one.listen(1024)
    held.append(one)
ports = [one.getsockname()[1] for one in held]
for one in held:
    one.setblocking(True)
# The protocol gives them as descriptors from 3 on. First out of the way: one of them may lie there already.
moved = [os.dup2(one.fileno(), 100 + at) for at, one in enumerate(held)]
fds = [os.dup2(fd, 3 + at, inheritable=True) for at, fd in enumerate(moved)]
for fd in moved:
    os.close(fd)

path = os.path.join(folder, "notify.sock")
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.bind(path)

selector = selectors.DefaultSelector()
selector.register(sys.stdin, selectors.EVENT_READ)
selector.register(notify, selectors.EVENT_READ)
output = open(os.path.join(folder, "output"), "ab")
child = None
say(ports=ports)

while True:
    for key, _ in selector.select(0.02):
        if key.fileobj is notify:
            told = notify.recv(4096).decode()
            # systemd-notify waits until its BARRIER=1 was read: the descriptor that comes with it is dropped here.
            if told != "BARRIER=1":
                say(told=told.splitlines())
            continue
        word = sys.stdin.readline().strip()
        if word == "":
            if child is not None and child.poll() is None:
                child.kill()
            sys.exit(0)
        if word == "start":
            env = {**os.environ, "LISTEN_FDS": str(len(fds)), "NOTIFY_SOCKET": path}
            if watchdog != "0":
                env["WATCHDOG_USEC"] = watchdog
            if len(fds) == 0:
                del env["LISTEN_FDS"]
            # The number of the process has to be in its environment before it is known.
            script = 'LISTEN_PID=$$ WATCHDOG_PID=$$; export LISTEN_PID WATCHDOG_PID; exec "$@"'
            child = subprocess.Popen(
                ["/bin/sh", "-c", script, "sh", *program],
                env=env, pass_fds=fds, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder,
            )
        else:
            child.send_signal(int(word))
    if child is not None and child.poll() is not None:
        say(ended=child.returncode)
        child = None
