import java.util.*; import java.util.concurrent.*;
public class Prog {
  public static void main(String[] a) throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(3);
    List<Future<Long>> all = new ArrayList<>();
    for (int n = 0; n < 20; n++) { final int m = n; all.add(pool.submit(() -> { long x = m; for (int i = 0; i < 100000; i++) x = x * 31 + i; return x; })); }
    for (Future<Long> f : all) System.out.println(f.get());
    pool.shutdown(); System.out.println(System.nanoTime() + " " + new Random().nextInt() + " " + new Object().hashCode());
  }
}
