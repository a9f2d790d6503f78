// Boxes of an exported file in C++, with onnxruntime alone. Images are binary PPM files of 8 bits (P6), as
// `python -c "from PIL import Image; Image.open('part.jpg').convert('RGB').save('part.ppm')"` writes them.
//
//   lightdet export RUN --format onnx --input photo --out model.onnx
//   g++ -std=c++17 -O2 predict.cpp -I ONNXRUNTIME/include -L ONNXRUNTIME/lib -lonnxruntime -o predict
//   ./predict model.onnx part.ppm ...
//
// Set the environment variable ORT_DISABLE_TELEMETRY=1, or onnxruntime reports to its maker, from version 1.29 on.
// The names of the classes are in the file's contract, a JSON in its metadata; this program prints their numbers.

#include <onnxruntime_cxx_api.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

struct Image {
    int64_t height = 0, width = 0;
    std::vector<uint8_t> pixels;  // RGB, row by row
};

Image read_ppm(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string kind;
    Image image;
    int most = 0;
    file >> kind >> image.width >> image.height >> most;
    if (!file || kind != "P6" || most != 255 || image.width < 1 || image.height < 1 || image.width > 16384 ||
        image.height > 16384)
        throw std::runtime_error(path + ": no binary PPM of 8 bits without comments");
    file.get();  // the single space behind the header
    image.pixels.resize(static_cast<size_t>(image.height * image.width * 3));
    if (!file.read(reinterpret_cast<char*>(image.pixels.data()), static_cast<std::streamsize>(image.pixels.size())))
        throw std::runtime_error(path + ": ends early");
    return image;
}

int main(int count, char** words) try {
    if (count < 3) throw std::runtime_error("predict model.onnx image.ppm ...");
    Ort::Env environment(ORT_LOGGING_LEVEL_WARNING, "predict");
    Ort::Session session(environment, words[1], Ort::SessionOptions{});
    Ort::MemoryInfo memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    const char *input = "image", *output = "detections";
    for (int index = 2; index < count; ++index) {
        Image image = read_ppm(words[index]);
        const int64_t shape[] = {image.height, image.width, 3};
        Ort::Value given = Ort::Value::CreateTensor<uint8_t>(memory, image.pixels.data(), image.pixels.size(), shape, 3);
        std::vector<Ort::Value> found = session.Run(Ort::RunOptions{nullptr}, &input, &given, 1, &output, 1);
        const float* row = found[0].GetTensorData<float>();  // left, top, right, bottom in px, score, label
        for (int64_t left = found[0].GetTensorTypeAndShapeInfo().GetShape()[0]; left > 0; --left, row += 6)
            std::printf("%s\t%d\t%.5f\t[%.2f, %.2f, %.2f, %.2f]\n", words[index], static_cast<int>(row[5]), row[4], row[0],
                        row[1], row[2], row[3]);
    }
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
}
