# java -version and a compiled program with threads, files, a process.
# needs: java javac
# limit: 240
java -version 2>&1 | head -1
cat >Hello.java <<'J'
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;

public class Hello {
    static int count;
    static synchronized void up() { count++; }
    public static void main(String[] a) throws Exception {
        System.out.println("hello " + System.getProperty("os.name") + " " + System.getProperty("os.arch"));
        Thread[] t = new Thread[8];
        for (int i = 0; i < 8; i++) { t[i] = new Thread(() -> { for (int k = 0; k < 1000; k++) up(); }); t[i].start(); }
        for (Thread x : t) x.join();
        System.out.println("count " + count);
        ExecutorService ex = Executors.newFixedThreadPool(3);
        List<Future<Integer>> f = new ArrayList<>();
        for (int i = 0; i < 5; i++) { int n = i; f.add(ex.submit(() -> n * n)); }
        int s = 0; for (Future<Integer> x : f) s += x.get();
        ex.shutdown(); System.out.println("sum " + s);
        Files.writeString(Path.of("f"), "written"); System.out.println(Files.readString(Path.of("f")) + " " + Files.size(Path.of("f")));
        Process p = new ProcessBuilder("echo", "child").start(); System.out.print(new String(p.getInputStream().readAllBytes())); System.out.println(p.waitFor());
        byte[][] junk = new byte[100][]; for (int i = 0; i < 2000; i++) junk[i % 100] = new byte[100000]; System.gc();
        Object lock = new Object(); synchronized (lock) { lock.wait(20); }
        try { Object o = null; o.toString(); } catch (NullPointerException e) { System.out.println("caught"); }
        System.exit(3);
    }
}
J
javac Hello.java && java Hello; echo "status $?"; java -Xint -cp . Hello | tail -1; java -Xmx64m -XX:+UseSerialGC Hello | head -2; java NoSuch 2>/dev/null; echo "none $?"
