import asyncio, os, signal
async def run(*a, inp=None):
    p = await asyncio.create_subprocess_exec(*a, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    out, _ = await p.communicate(inp); return out, p.returncode
async def main():
    print(await asyncio.gather(*[run("sh", "-c", f"sleep 0.0{i}; echo {i}; exit {i}") for i in range(5)]))
    print(await run("tr", "a-z", "A-Z", inp=b"hello"))
    p = await asyncio.create_subprocess_shell("sleep 60"); p.kill(); print(await p.wait())
    try: await asyncio.wait_for(asyncio.sleep(10), 0.05)
    except asyncio.TimeoutError: print("timeout")
    server = await asyncio.start_unix_server(echo, "sock"); r, w = await asyncio.open_unix_connection("sock")
    w.write(b"ping\n"); await w.drain(); print(await r.readline()); w.close(); await w.wait_closed(); server.close()
    loop = asyncio.get_running_loop(); got = asyncio.Event(); loop.add_signal_handler(signal.SIGUSR1, got.set); os.kill(os.getpid(), signal.SIGUSR1); await asyncio.wait_for(got.wait(), 5); print("signal")
    print(await loop.run_in_executor(None, sum, range(10))); q = asyncio.Queue(); asyncio.create_task(q.put(4)); print(await q.get())
    rd, wr = os.pipe(); fut = loop.create_future(); loop.add_reader(rd, lambda: (fut.set_result(os.read(rd, 10)), loop.remove_reader(rd))); os.write(wr, b"pipe"); print(await fut)
async def echo(r, w): w.write(await r.readline()); await w.drain(); w.close()
asyncio.run(main())
