// The commands of `mae`, one file each. argv[0] is the command's name; each returns an apps::Exit.
#pragma once

#include <string>
#include <vector>

namespace apps {

int data(int argc, char** argv);
int pack(int argc, char** argv);
int pretrain(int argc, char** argv);
int reconstruct(int argc, char** argv);
int attention(int argc, char** argv);
int finetune(int argc, char** argv);
int eval(int argc, char** argv);
int probe(int argc, char** argv);
int probe_official(int argc, char** argv);  // what `mae probe --protocol official` is
int knn(int argc, char** argv);
int embed(int argc, char** argv);
int plan(int argc, char** argv);
int devices(int argc, char** argv);
int convert(int argc, char** argv);
int report(int argc, char** argv);
int inspect(int argc, char** argv);
int bench(int argc, char** argv);  // does not return where mae_bench is there

/// The keys of a run's config file, for commands that read one.
std::vector<std::string> pretrain_keys();

}  // namespace apps
