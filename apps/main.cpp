#include "apps/cli.h"

int main(int argc, char** argv) { return apps::run(argc, argv); }
