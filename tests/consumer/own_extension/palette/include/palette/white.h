#ifndef PALETTE_WHITE_H_
#define PALETTE_WHITE_H_

constexpr int kWhite = 255;

#endif  // PALETTE_WHITE_H_
