package main
import ("fmt"; "math/rand"; "os"; "sync"; "time"; "crypto/sha256"; "runtime")
func main() {
	var group sync.WaitGroup
	results := make(chan string, 20)
	for n := 0; n < 20; n++ {
		group.Add(1)
		go func(n int) { defer group.Done(); time.Sleep(time.Duration(rand.Intn(2000)) * time.Microsecond)
			results <- fmt.Sprintf("%d %x", n, sha256.Sum256([]byte{byte(n)})) }(n)
	}
	group.Wait(); close(results)
	for line := range results { fmt.Println(line) }
	runtime.GC()
	fmt.Println(time.Now().UnixNano(), os.Getpid(), rand.Int63(), len(os.Args))
}
