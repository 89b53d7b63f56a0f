// SPDX-License-Identifier: Apache-2.0
// arguments, empty ones and odd bytes among them
// run: one 'two words' '' '*' "it's"
#include "check.h"

int main(int argc, char **argv) { for (int i = 1; i < argc; i++) say("<%s>", argv[i]); say("\n"); return argc == 6 ? 0 : 98; }
