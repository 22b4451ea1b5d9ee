// What a test's own options, its dependencies' headers and their files come to. Needs no GPU.
#include <palette/white.h>

#include <cstdio>
#include <fstream>

int Tint();
int DarkTint();

int main() {
  int white = 0;
  std::ifstream("../palette/white.txt") >> white;
  std::printf("%d in the file, %d, dark %d, wanted %d\n", white, Tint(), DarkTint(), DARK);
  return white == kWhite && Tint() == kWhite && DarkTint() == DARK ? 0 : 1;
}
