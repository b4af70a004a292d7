# node: worker_threads, fs, child_process, streams, timers.
# needs: node
# limit: 120
cat >w.js <<'J'
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
if (!isMainThread) {
  let s = 0;
  for (let i = 0; i < 1e5; i++) s += i * workerData;
  parentPort.postMessage(s);
} else {
  const fs = require('fs'), cp = require('child_process'), path = require('path'), os = require('os');
  (async () => {
    const run = (n) => new Promise((res, rej) => { const w = new Worker(__filename, { workerData: n }); w.on('message', res); w.on('error', rej); });
    console.log(await Promise.all([1, 2, 3].map(run)));
    fs.mkdirSync('d/e', { recursive: true });
    fs.writeFileSync('d/f', 'hello');
    await fs.promises.appendFile('d/f', ' world');
    console.log(fs.readFileSync('d/f', 'utf8'), fs.statSync('d/f').size, fs.readdirSync('d').sort());
    fs.renameSync('d/f', 'd/g'); fs.symlinkSync('g', 'd/l'); console.log(fs.readlinkSync('d/l'), fs.existsSync('d/f'));
    await new Promise((res) => { const s = fs.createReadStream('/etc/passwd'); let n = 0; s.on('data', (b) => n += b.length); s.on('end', () => { console.log(n === fs.statSync('/etc/passwd').size); res(); }); });
    console.log(cp.execSync('echo child').toString().trim(), cp.spawnSync('sh', ['-c', 'exit 7']).status);
    await new Promise((res) => { const c = cp.spawn('cat'); let o = ''; c.stdout.on('data', (b) => o += b); c.on('close', (code) => { console.log(o, code); res(); }); c.stdin.end('piped'); });
    const w = fs.watch('d'); const seen = new Promise((res) => w.on('change', (t, f) => { w.close(); res(f); })); fs.writeFileSync('d/new', ''); console.log('watched', await seen);
    await new Promise((r) => setTimeout(r, 20)); console.log(os.platform(), os.arch(), os.cpus().length > 0, os.totalmem() > 0);
    process.on('SIGUSR2', () => { console.log('usr2'); process.exit(4); }); process.kill(process.pid, 'SIGUSR2'); setTimeout(() => {}, 5000);
  })();
}
J
node w.js; echo "status $?"; node -e 'console.log(require("zlib").gunzipSync(require("zlib").gzipSync("abc")).toString(), require("crypto").createHash("md5").update("x").digest("hex"))'
node -e 'process.stdin.on("data", d => process.stdout.write(d.toString().toUpperCase()))' <<<input; node -e 'throw new Error("x")' 2>/dev/null; echo "throw $?"; node -p '1+1'
