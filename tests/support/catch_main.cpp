// The one main of every test binary. Debian 12 packages Catch2 2.13 (one header); newer systems have version 3.
#if MAE_CATCH2 >= 3
#include <catch2/catch_session.hpp>
int main(int argc, char** argv) { return Catch::Session().run(argc, argv); }
#else
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif
