// apps_std, the DSP's C library calls on files, directories and variables (USERSPACE 5).
//
// Read-only: methods that would write answer EROFS, the ones that are not served AEE_EUNSUPPORTED. Names are looked up
// in the file tree alone; the search lists that the DSP names through environment variables are that tree.
#pragma once

#include "daemon/files/file_tree.hpp"
#include "daemon/files/open_directories.hpp"
#include "daemon/files/open_files.hpp"
#include "daemon/reverse/dispatcher.hpp"
#include "daemon/reverse/environment.hpp"
#include "daemon/reverse/reverse_stats.hpp"

#include <cstdint>
#include <string_view>

namespace fastrpc::daemon {

class AppsStd final : public Interface {
public:
    /// The references must outlive the object.
    AppsStd(const FileTree& tree, OpenFiles& files, ReverseStats& stats, Environment environment) :
        tree_(tree), files_(files), stats_(stats), environment_(std::move(environment)) {}

    int invoke(const ReverseCall& call) override;

private:
    struct Method;
    static const Method methods[];

    // apps_std.cpp
    int fopen(const ReverseCall& call);
    int freopen(const ReverseCall& call);
    int fopen_with_env(const ReverseCall& call);
    int file_exists(const ReverseCall& call);
    int stat(const ReverseCall& call);
    int print_string(const ReverseCall& call);
    int read_only(const ReverseCall& call); ///< whatever would write

    // apps_std_streams.cpp
    int fclose(const ReverseCall& call);
    int fread(const ReverseCall& call);
    int fgets(const ReverseCall& call);
    int fgetpos(const ReverseCall& call);
    int fsetpos(const ReverseCall& call);
    int ftell(const ReverseCall& call);
    int fseek(const ReverseCall& call);
    int flen(const ReverseCall& call);
    int rewind(const ReverseCall& call);
    int feof(const ReverseCall& call);
    int ferror(const ReverseCall& call);
    int clearerr(const ReverseCall& call);
    int check_open(const ReverseCall& call); ///< fflush and fsync: nothing is ever pending

    // apps_std_directories.cpp
    int opendir(const ReverseCall& call);
    int readdir(const ReverseCall& call);
    int closedir(const ReverseCall& call);

    // apps_std_environment.cpp
    int getenv(const ReverseCall& call);
    int setenv(const ReverseCall& call);
    int unsetenv(const ReverseCall& call);
    int search_paths(const ReverseCall& call);

    OpenFile* file_of(const ReverseCall& call);
    /// From the tree, with the missing remembered.
    Result<OpenedFile> look_up(std::string_view name);
    Result<OpenedFile> remembered(std::string_view name, Result<OpenedFile> found);
    int open_for(const ReverseCall& call, std::string_view name, std::string_view mode);

    const FileTree& tree_;
    OpenFiles& files_;
    ReverseStats& stats_;
    Environment environment_;
    OpenDirectories directories_;
};

} // namespace fastrpc::daemon
