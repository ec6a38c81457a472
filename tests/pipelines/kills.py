"""Commands killed at random moments, by their own measured time: no machine is too fast for it."""

import subprocess
import time


def begin(command, folder):
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def run_to_its_end(command, folder):
    """Run a command in a folder; return its seconds."""
    began = time.monotonic()
    process = begin(command, folder)
    said = process.communicate()[1]
    assert process.returncode == 0, said
    return time.monotonic() - began


def kill_at_work(command, folder, seconds, rng, times, anew):
    """Kill a command `times` times, each within the seconds it takes; return how often it ended.

    It goes on from where the last kill left it. One that comes to its end in between does not
    count: `anew()` puts the folder back to where it was before the first kill, and the next ones
    are killed earlier. So each of the kills is of a command at work.
    """
    num, ended = 0, 0
    while num < times:
        began = time.monotonic()
        process = begin(command, folder)
        try:
            process.wait(rng.uniform(0.2, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        said = process.communicate()[1]  # its workers have ended too
        assert process.returncode in (0, -9), said
        if process.returncode == -9:
            num += 1
            continue
        seconds, ended = 0.9 * min(seconds, time.monotonic() - began), ended + 1
        anew()
    return ended
