# Touches pages of a mapped file in an order that looks random and is the same each time; prints seconds.
import mmap, random, sys, time

with open(sys.argv[1], "rb") as file:
    pages = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
order = random.Random(1)
offsets = [order.randrange(len(pages) // 4096) * 4096 for _ in range(int(sys.argv[2]))]
start = time.perf_counter()
for offset in offsets:
    pages[offset]
print(time.perf_counter() - start)
